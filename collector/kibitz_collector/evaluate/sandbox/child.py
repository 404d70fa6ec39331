"""What a fork of the jail does after the door is closed: reads the source, then answers Log by Log.

Sent as text to the jail's child program: standard library only, and all of it imported beforehand.
"""

import errno
import io
import json
import linecache
import os
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from kibitz_collector.evaluate.sandbox.entry import FILENAME, compile_source
from kibitz_collector.evaluate.sandbox.seccomp import ANSWER_FD

_HEADER = struct.Struct(">I")
_MESSAGE_CHARS = 2_000
_loads = json.loads  # evaluators may replace what is in modules


def answer(config: dict[str, Any]) -> None:
    """Read the source, then one Log after the other; one answer each."""
    first = _read()
    match first["do"]:
        case "probe":
            _write({"probe": _probe()})
            return
        case "check":
            _write({"error": _check(first["source"])})
            return
    console = _Console(config["stdout_chars"])
    sys.stdout = sys.stderr = console
    sys.stdin = io.StringIO()
    try:
        evaluator = _load(first["source"])
    except BaseException as error:
        _write({"error": _describe(error), "stdout": console.take()})
        return
    _write({"error": None})
    encode = json.JSONEncoder(allow_nan=False, ensure_ascii=True).encode
    while True:
        question = _read()
        reply: dict[str, Any] = {"n": question["n"]}
        sys.stdout = sys.stderr = console
        try:
            reply["value"] = _plain(_call(evaluator, Log(question["log"])))
            reply["stdout"] = console.take()
            text = encode(reply)
            if len(text) > config["answer_bytes"] - 1024:
                raise ValueError(f"the return value is larger than {config['answer_bytes']} bytes")
        except BaseException as error:
            reply = {"n": question["n"], "error": _describe(error), "stdout": console.take()}
            text = encode(reply)
        _write_text(text)


class Log(dict[str, Any]):
    """What an evaluator receives: a dict of the v5 Log keys, with a search through its trace."""

    def __init__(self, log: dict[str, Any]) -> None:
        super().__init__(log)
        if isinstance(self.get("children"), list):
            self["children"] = [Log(c) for c in self["children"] if isinstance(c, dict)]

    def find(self, kind: str | None = None, name: str | None = None) -> "list[Log]":
        """Return the Logs below this one, in order, of this kind and name (or File path)."""
        found: list[Log] = []
        for child in self.get("children") or ():
            if kind in (None, child.get("kind")) and (
                name is None or name in (child.get("name"), child.get("path"))
            ):
                found.append(child)
            found += child.find(kind, name)
        return found


class _Console(io.TextIOBase):
    """Keeps the first characters of what is printed, and counts the rest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[str] = []
        self._room = limit
        self._dropped = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._room > 0 and text:
            self._kept.append(text[: self._room])
        self._dropped += max(0, len(text) - self._room)
        self._room = max(0, self._room - len(text))
        return len(text)

    def take(self) -> str:
        """Return what was printed since the last call."""
        text = "".join(self._kept)
        if self._dropped:
            text += f"\n… {self._dropped} more characters were printed"
        self._kept, self._room, self._dropped = [], self._limit, 0
        return text


# --- source


def _load(source: str) -> Any:
    code, name = compile_source(source)
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    module = ModuleType("evaluator")
    module.__file__ = FILENAME
    sys.modules["evaluator"] = module  # dataclasses and typing look their module up
    exec(code, module.__dict__)
    return module.__dict__[name]


def _check(source: str) -> dict[str, Any] | None:
    try:
        compile_source(source)
    except BaseException as error:
        return _describe(error)
    return None


def _call(evaluator: Any, log: Log) -> Any:
    value = evaluator(log)
    if not hasattr(value, "send") or not hasattr(value, "cr_frame"):
        return value
    try:
        value.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("an async evaluator has nothing to wait for in the sandbox")


def _plain(value: Any) -> Any:
    """Turn what is meant as a plain value into one: sets, enum members, numpy-like numbers."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if value is None or isinstance(value, bool | int | float | str | list | dict | tuple):
        return getattr(value, "value", value)
    if callable(getattr(value, "item", None)):
        return value.item()
    return getattr(value, "value", value)


def _describe(error: BaseException) -> dict[str, Any]:
    """Shape: {"type": str, "message": str, "line": int | None, "refused": bool}."""
    try:
        message = str(error.msg) if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        message = "(its message cannot be shown)"
    if isinstance(error, MemoryError) and not message:
        message = "more memory than an evaluation may use"
    line = error.lineno if isinstance(error, SyntaxError) else _line_of(error.__traceback__)
    return {
        "type": type(error).__name__,
        "message": message[:_MESSAGE_CHARS],
        "line": line if isinstance(line, int) else None,
        "refused": _is_refusal(error, message),
    }


def _is_refusal(error: BaseException, message: str) -> bool:
    """Tell the walls of the jail from the evaluator's own mistakes."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.EPERM, errno.EACCES, errno.EMFILE, errno.EAGAIN)
    return isinstance(error, RuntimeError) and "start new thread" in message


def _line_of(trace: TracebackType | None) -> int | None:
    """Return the innermost line of the evaluator's own source."""
    line = None
    for frame, number in traceback.walk_tb(trace):
        if frame.f_code.co_filename == FILENAME:
            line = number
    return line


# --- self-test


def _probe() -> dict[str, str]:
    """Try what must fail: open a file, make a socket, fork. The answer is checked by the parent."""
    tries: dict[str, Callable[[], object]] = {
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "list": lambda: os.listdir("/"),
        "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "fork": _fork_and_leave,
        "kill": lambda: os.kill(os.getppid(), 0),
    }
    outcome = {}
    for name, attempt in tries.items():
        try:
            attempt()
            outcome[name] = "worked"
        except OSError as error:
            outcome[name] = error.strerror or "refused"
    return outcome


def _fork_and_leave() -> None:
    if os.fork() == 0:
        os._exit(0)


# --- frames: four bytes of length, then JSON


def _read() -> dict[str, Any]:
    (size,) = _HEADER.unpack(_read_exactly(_HEADER.size))
    message: dict[str, Any] = _loads(_read_exactly(size))
    return message


def _read_exactly(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(0)  # the parent is done
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(message: dict[str, Any]) -> None:
    _write_text(json.dumps(message))


def _write_text(text: str) -> None:
    data = text.encode()
    data = _HEADER.pack(len(data)) + data
    while data:
        data = data[os.write(ANSWER_FD, data) :]
