"""The child program of the jail: imports what evaluators may use, locks itself up, forks per batch.

Sent as text to `python -I -S -c BOOT` with an empty environment; standard library and ctypes only.
It never runs user code itself: each batch of one evaluator version gets a fork, which gives up
everything but its two descriptors (0: questions, 1: answers) before it sees the source.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

from kibitz_collector.evaluate.sandbox import child, landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_NOBODY = 65534
_DYNAMIC_UIDS = range(61184, 65520)  # the range systemd keeps for users without a name
_HEADER = struct.Struct(">I")

# After the door is closed nothing can be imported, so what evaluators may use is imported here.
MODULES = """
    __future__ _strptime abc array ast base64 bisect binascii calendar cmath codecs collections
    collections.abc colorsys configparser contextlib copy csv dataclasses datetime decimal
    difflib email.utils encodings.ascii encodings.cp1252 encodings.idna encodings.latin_1
    encodings.utf_16 encodings.utf_8_sig enum fnmatch fractions functools graphlib hashlib heapq
    hmac html html.entities html.parser inspect io ipaddress itertools json json.decoder keyword
    locale logging math numbers operator pathlib pprint queue random re reprlib secrets shlex
    statistics string stringprep struct textwrap threading time timeit tokenize tomllib
    traceback types typing unicodedata urllib.parse uuid warnings weakref xml.etree.ElementTree
    zlib
"""


def main(config: dict[str, Any]) -> None:
    """Lock up, say so, then serve fork requests on descriptor 0 until it closes."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    try:
        report = _prepare(config)
    except Exception as error:
        _send(control, {"error": f"{type(error).__name__}: {error}"})
        return
    _send(control, report)
    _serve(control, config, report)


# --- the zygote


def _prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Import, then give up rights in the order that still allows the next step."""
    for name in MODULES.split():
        importlib.import_module(name)
    importlib.invalidate_caches()
    time.localtime()
    "ä".encode("idna")
    report: dict[str, Any] = {"pid": os.getpid(), "base_bytes": _virtual_bytes()}
    if config["hardened"]:
        report["filter"] = seccomp.assemble(os.uname().machine).hex()
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        report["uid"] = _drop_user()
        landlock.forbid_new_privileges()
        _prctl(_PR_SET_DUMPABLE, 0)
        os.chdir("/")
        report["landlock"] = landlock.restrict()
        _blank_surroundings()
    for name in [m for m in sys.modules if m.split(".")[0] == "kibitz_collector"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()
    return report


def _drop_user() -> int:
    """Become a user nobody else is, when we may; return the user id."""
    if os.geteuid() != 0:
        return os.geteuid()
    for uid in (_DYNAMIC_UIDS[os.getpid() % len(_DYNAMIC_UIDS)], _NOBODY):
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:
            continue  # no CAP_SETUID, or the id is not mapped in this user namespace
        return uid
    return os.geteuid()


def _blank_surroundings() -> None:
    """Hide where and how this program runs, and answer every further import clearly."""
    sys.argv, sys.orig_argv, sys.path = [""], [""], []
    sys.executable = sys.prefix = sys.exec_prefix = ""
    sys.base_prefix = sys.base_exec_prefix = ""
    sys.path_importer_cache.clear()
    sys.path_hooks.clear()
    os.environ.clear()
    known = sorted({name.split(".")[0] for name in MODULES.split() if not name.startswith("_")})
    sys.meta_path[:] = [*sys.meta_path[:2], _NoSuchModule(known)]


class _NoSuchModule:
    """The last finder: says what can be imported instead."""

    def __init__(self, known: list[str]) -> None:
        self._known = ", ".join(known)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        message = f"module {name!r} cannot be imported in the sandbox; there are: {self._known}"
        raise ModuleNotFoundError(message, name=name)


def _serve(control: socket.socket, config: dict[str, Any], report: dict[str, Any]) -> None:
    """Fork on `fork` (one descriptor comes along), kill and reap on `end`."""
    children: set[int] = set()
    while True:
        select.select([control], [], [])
        data, descriptors, _, _ = socket.recv_fds(control, 256, 1)
        if not data:
            break
        request = json.loads(data)
        if request["do"] == "end":
            children.discard(request["pid"])
            _send(control, {"status": _end(request["pid"])})
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            _become_child(descriptors[0], config, report)
        children.add(pid)
        os.close(descriptors[0])
        _send(control, {"pid": pid})
    for pid in children:
        _end(pid)


def _end(pid: int) -> int:
    """Kill one child with all of its process group and return its wait status."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


# --- a fork


def _become_child(channel: int, config: dict[str, Any], report: dict[str, Any]) -> None:
    """Give up the rest, then answer questions; never returns."""
    code = 70
    try:
        os.setsid()
        if config["hardened"]:
            _lock_up(channel, config, report)
        else:
            os.dup2(channel, 0)
            os.dup2(channel, 1)
        child.answer(config)
        code = 0
    finally:
        os._exit(code)


def _lock_up(channel: int, config: dict[str, Any], report: dict[str, Any]) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != report["pid"]:
        os._exit(71)  # the zygote died before the line above
    os.dup2(channel, 0)
    os.dup2(channel, 1)
    os.closerange(2, 1024)
    cpu_s = config["cpu_s"]
    memory = report["base_bytes"] + config["memory_bytes"]
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 3, 3),
    ):
        resource.setrlimit(what, (soft, hard))
    program = bytes.fromhex(report["filter"])
    random.seed()  # else every fork draws the same numbers
    seccomp.install(program)


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    control.sendall(_HEADER.pack(len(data)) + data)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _virtual_bytes() -> int:
    """Return this process's address space; 0 where it cannot be known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
