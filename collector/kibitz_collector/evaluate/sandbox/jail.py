"""The parent side of the jail: one zygote, a fork of it per batch, answers taken as hostile."""

import contextlib
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import orjson

from kibitz_collector.evaluate.sandbox.answers import (
    BadAnswer,
    error_of,
    is_refused,
    parse,
    text_of,
)
from kibitz_collector.evaluate.sandbox.verdicts import (
    MAX_SOURCE_CHARS,
    Limits,
    Log,
    Options,
    SandboxFailure,
    Verdict,
    VerdictError,
    typed,
)
from kibitz_collector.records import ReturnType

_HEADER = struct.Struct(">I")
_START_S = 20.0
_CONTROL_S = 5.0
_PACKAGE = "kibitz_collector.evaluate.sandbox"
_BOOT = """
import json, os, struct, sys, types
def read(size):
    data = b""
    while len(data) < size:
        data += os.read(0, size - len(data)) or sys.exit(0)
    return data
bundle = json.loads(read(struct.unpack(">I", read(4))[0]))
for name, source in bundle["modules"]:
    module = types.ModuleType(name)
    module.__path__ = []
    sys.modules[name] = module
    parent, _, leaf = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], leaf, module)
    exec(compile(source, "<sandbox>", "exec"), module.__dict__)
module.main(bundle["config"])
"""


class Jail:
    """A sandbox of forks of one locked-up CPython process. Thread-safe."""

    def __init__(
        self, *, reason: str = "", is_hardened: bool = True, limits: Limits | None = None
    ) -> None:
        self.engine = "jail" if is_hardened else "local-unsafe"
        self.reason = reason
        self.zygote_report: dict[str, Any] = {}
        self._is_hardened = is_hardened
        self._limits = limits or Limits()
        self._lock = threading.Lock()  # the control channel is question and answer
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_closed = False

    def run(
        self,
        source: str,
        logs: Sequence[Log],
        *,
        return_type: ReturnType,
        options: Options = None,
        limits: Limits | None = None,
    ) -> list[Verdict]:
        """Judge the Logs in order in one fork. See `Sandbox.run`."""
        limits = limits or self._limits
        if len(source) > MAX_SOURCE_CHARS:
            return [_too_long()] * len(logs)
        ends_at = time.monotonic() + limits.batch_wall_s
        with _Child(self, limits) as child:
            refused = child.load(source)
            if refused is not None:
                return [refused] if refused.is_fatal else [refused] * len(logs)
            verdicts: list[Verdict] = []
            for log in logs:
                if verdicts and time.monotonic() > ends_at:
                    break
                verdicts.append(typed(child.judge(log), return_type, options))
                if verdicts[-1].is_fatal:
                    break
            return verdicts

    def check(self, source: str) -> VerdictError | None:
        """Compile in a fork; see `Sandbox.check`."""
        if len(source) > MAX_SOURCE_CHARS:
            return _too_long().error
        with _Child(self, self._limits) as child:
            return child.check(source)

    def probe(self) -> dict[str, str]:
        """Let a fork try what must fail; returns what became of each try.

        Raises: SandboxFailure.
        """
        with _Child(self, self._limits) as child:
            try:
                answer = child.ask({"do": "probe"}, _START_S)
            except (_ChildLost, BadAnswer) as error:
                raise SandboxFailure(f"a child did not answer: {error}") from error
            outcome: dict[str, str] = answer.get("probe") or {}
            return outcome

    def close(self) -> None:
        """End the zygote; its forks die with it."""
        with self._lock:
            self._is_closed = True
            self._end_zygote()

    # --- the zygote

    def fork(self, channel: socket.socket) -> int:
        """Start a child that talks on `channel`; returns its process id.

        Raises: SandboxFailure.
        """
        with self._lock:
            for is_last in (False, True):
                try:
                    control = self._control or self._start_zygote()
                    socket.send_fds(control, [b'{"do":"fork"}'], [channel.fileno()])
                    return int(_receive_control(control, _CONTROL_S)["pid"])
                except (OSError, ValueError, KeyError) as error:
                    self._end_zygote()
                    if is_last:
                        raise SandboxFailure(f"no process can be started: {error}") from error
        raise AssertionError("unreachable")

    def end(self, pid: int) -> int:
        """Kill a child and its process group; returns its wait status (0 when unknown)."""
        with self._lock:
            if self._control is None:
                return 0
            try:
                self._control.sendall(orjson.dumps({"do": "end", "pid": pid}))
                return int(_receive_control(self._control, _CONTROL_S)["status"])
            except (OSError, ValueError, KeyError):
                self._end_zygote()
                return 0

    def _start_zygote(self) -> socket.socket:
        if self._is_closed:
            raise SandboxFailure("the sandbox is closed")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            flags = ["-I", "-S", "-B", "-X", "utf8"] if self._is_hardened else ["-B"]
            self._zygote = subprocess.Popen(
                [sys.executable, *flags, "-c", _BOOT],
                env={} if self._is_hardened else None,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/" if self._is_hardened else None,
                start_new_session=True,
            )
        self._control = ours
        bundle = orjson.dumps({"modules": _modules(), "config": self._config()})
        ours.settimeout(_START_S)
        ours.sendall(_HEADER.pack(len(bundle)) + bundle)
        report = _receive_control(ours, _START_S)
        if "error" in report:
            raise OSError(report["error"])
        self.zygote_report = report
        return ours

    def _end_zygote(self) -> None:
        if self._control is not None:
            self._control.close()  # the zygote kills its children and leaves
            self._control = None
        if self._zygote is not None:
            try:
                self._zygote.wait(1.0)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
            self._zygote = None

    def _config(self) -> dict[str, Any]:
        limits = self._limits
        return {
            "hardened": self._is_hardened,
            "memory_bytes": limits.memory_bytes,
            "cpu_s": int(limits.batch_wall_s + 2 * limits.wall_s) + 1,
            "stdout_chars": limits.stdout_chars,
            "answer_bytes": limits.answer_bytes,
        }


class _ChildLost(Exception):
    """The child is dead or mute; `kind` is `Crash` or `Timeout`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Child:
    """One fork: asked and answered over a socket, ended when the batch is over."""

    def __init__(self, jail: Jail, limits: Limits) -> None:
        self._jail = jail
        self._limits = limits
        self._buffer = bytearray()

    def __enter__(self) -> "_Child":
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                self._pid = self._jail.fork(theirs)
        except BaseException:
            self._channel.close()
            raise
        self._is_ended = False
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._end()

    def load(self, source: str) -> Verdict | None:
        """Hand over the source; None: it is loaded."""
        started = time.monotonic()
        try:
            answer = self.ask({"do": "run", "source": source}, self._limits.wall_s)
            error = error_of(answer)
        except (_ChildLost, BadAnswer) as lost:
            return self._lost(lost, started)
        if error is None:
            return None
        return Verdict(
            error=error,
            stdout=text_of(answer.get("stdout")),
            duration_ms=_since(started),
            is_refused=is_refused(answer),
        )

    def check(self, source: str) -> VerdictError | None:
        """Let the child compile the source."""
        try:
            return error_of(self.ask({"do": "check", "source": source}, self._limits.wall_s))
        except (_ChildLost, BadAnswer) as lost:
            return self._lost(lost, 0.0).error

    def judge(self, log: Log) -> Verdict:
        """Ask about one Log."""
        # The answer must name the question: one written ahead of time answers nothing.
        nonce = secrets.token_hex(8)
        started = time.monotonic()
        try:
            if self._buffer:
                raise BadAnswer("an answer before its question")
            answer = self.ask({"n": nonce, "log": log}, self._limits.wall_s)
            if answer.get("n") != nonce:
                raise BadAnswer("an answer to no question")
            error = error_of(answer)
            value = answer.get("value") if error is None else None
        except (_ChildLost, BadAnswer) as lost:
            return self._lost(lost, started)
        return Verdict(
            value=value,
            error=error,
            stdout=text_of(answer.get("stdout")),
            duration_ms=_since(started),
            is_refused=is_refused(answer),
        )

    def ask(self, message: dict[str, Any], wall_s: float) -> dict[str, Any]:
        """Send one frame and read one.

        Raises: _ChildLost, BadAnswer.
        """
        deadline = time.monotonic() + wall_s
        data = _encode(message)
        try:
            self._channel.settimeout(wall_s)
            self._channel.sendall(_HEADER.pack(len(data)) + data)
            (size,) = _HEADER.unpack(self._receive(_HEADER.size, deadline))
            if size > self._limits.answer_bytes:
                raise BadAnswer(f"an answer of {size} bytes")
            return parse(self._receive(size, deadline), self._limits)
        except TimeoutError:
            raise _ChildLost("Timeout", f"not finished after {wall_s:g} s") from None
        except OSError as error:
            raise _ChildLost("Crash", error.strerror or "") from None

    def _receive(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._channel.settimeout(left)
            part = self._channel.recv(65536)
            if not part:
                raise _ChildLost("Crash", "")
            self._buffer += part
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _lost(self, lost: _ChildLost | BadAnswer, started: float) -> Verdict:
        status = self._end()
        kind = lost.kind if isinstance(lost, _ChildLost) else "Forged"
        message = _cause_of_death(status) if kind == "Crash" else str(lost)
        error = VerdictError(type=kind, message=message)
        return Verdict(error=error, duration_ms=_since(started), is_fatal=True)

    def _end(self) -> int:
        if self._is_ended:
            return 0
        self._is_ended = True
        return self._jail.end(self._pid)


def _modules() -> list[tuple[str, str]]:
    """Return the child program as text: its own file paths are not for the jail's eyes."""
    package = files(_PACKAGE)
    parts = _PACKAGE.split(".")
    empty = [(".".join(parts[: n + 1]), "") for n in range(len(parts))]
    return empty + [
        (f"{_PACKAGE}.{name}", package.joinpath(f"{name}.py").read_text(encoding="utf-8"))
        for name in ("entry", "landlock", "seccomp", "child", "zygote")
    ]


def _receive_control(control: socket.socket, timeout_s: float) -> dict[str, Any]:
    control.settimeout(timeout_s)
    data = b""
    while len(data) < _HEADER.size or len(data) < _HEADER.size + _HEADER.unpack_from(data)[0]:
        part = control.recv(65536)
        if not part:
            raise OSError("the sandbox process ended")
        data += part
    message: dict[str, Any] = orjson.loads(data[_HEADER.size :])
    return message


def _encode(message: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS, default=str)
    except (TypeError, ValueError):
        # Integers over 64 bits: the standard library has no limit there.
        import json

        return json.dumps(message, default=str).encode()


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000


def _cause_of_death(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
            meaning = {
                "SIGXCPU": "it used up its processor time",
                "SIGSEGV": "it crashed the interpreter",
                "SIGSYS": "it used system calls of another architecture",
                "SIGKILL": "it was killed, or ran out of memory",
            }.get(name, "it died")
            return f"{meaning} ({name})"
        return f"it died of signal {number}"
    return f"it ended its own process (exit status {os.WEXITSTATUS(status)})"


def _too_long() -> Verdict:
    message = f"the source is longer than {MAX_SOURCE_CHARS} characters"
    return Verdict(error=VerdictError(type="SyntaxError", message=message))
