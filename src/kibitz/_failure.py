"""Reading an exception of the host into an exception event, without reading source files."""

from __future__ import annotations

import os
from types import TracebackType
from typing import NamedTuple

from kibitz import _record
from kibitz import semconv as sc

_OURS = os.path.dirname(__file__) + os.sep
_MOST_FRAMES = 40
_MOST_CHARS = 16_000


class Failure(NamedTuple):
    """How a call failed."""

    type_name: str
    message: str
    stacktrace: str
    at_ns: int

    def event(self, with_content: bool) -> bytes:
        """Return it as a span event; the message and the stack are content."""
        attributes = [(sc.EXCEPTION_TYPE, self.type_name)]
        if with_content:
            attributes.append((sc.EXCEPTION_MESSAGE, self.message))
            if self.stacktrace:
                attributes.append((sc.EXCEPTION_STACKTRACE, self.stacktrace))
        return _record.event(sc.EXCEPTION_EVENT, self.at_ns, attributes)


def read_failure(error: BaseException, at_ns: int) -> Failure:
    """Read type, message and stack of an exception; its message only if it can be had."""
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    return Failure(name, message_of(error), _stack_of(error), at_ns)


def message_of(error: BaseException) -> str:
    """Return the message, empty if making it fails."""
    try:
        message = str(error)
    except Exception:  # a host's exception whose __str__ raises
        return ""
    if len(message) > _MOST_CHARS:
        message = f"{message[:_MOST_CHARS]}…[cut, {len(message)} characters]"
    return message


def _stack_of(error: BaseException) -> str:
    lines = ["Traceback (most recent call last):", *_frames(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines.append(f"{type(error).__qualname__}: {message_of(error)}")
    if cause is not None:
        lines.append(f"caused by {type(cause).__qualname__}: {message_of(cause)}")
    return "\n".join(lines)[: 2 * _MOST_CHARS]


def _frames(traceback: TracebackType | None) -> list[str]:
    """File, line and function of each frame of the host's; source lines would be disk reads."""
    lines = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            lines.append(
                f'  File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}'
            )
        traceback = traceback.tb_next
    if len(lines) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        lines = [*lines[:half], f"  … {len(lines) - 2 * half} frames", *lines[-half:]]
    return lines
