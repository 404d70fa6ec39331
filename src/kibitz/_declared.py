"""What a decorated function always says about its File: worked out once, encoded once."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

from kibitz import semconv as sc
from kibitz._record import attribute, text_attribute
from kibitz._runtime import Runtime


class File(NamedTuple):
    """The File a span is an execution of; `content`: JSON text of what its Version is made of."""

    path: str
    type: str  # prompt, tool, flow, evaluator
    content: str | None = None


@lru_cache(maxsize=512)
def encode_file(file: File) -> bytes:
    """Return a File's attributes, encoded."""
    return encode(
        [(sc.FILE_PATH, file.path), (sc.FILE_TYPE, file.type), (sc.FILE_CONTENT, file.content)]
    )


def encode(attributes: list[tuple[str, Any]]) -> bytes:
    """Return attributes encoded and joined by commas; None is left out."""
    return b",".join(
        [
            text_attribute(key, value) if type(value) is str else attribute(key, value)
            for key, value in attributes
            if value is not None
        ]
    )


def with_remarks(static: bytes, runtime: Runtime, capture: str) -> bytes:
    """Add to attributes encoded beforehand what is said of every span taken like this."""
    parts = [static] if static else []
    if capture != "full":
        parts.append(text_attribute(sc.CAPTURE, capture))
    rate = runtime.settings.sample_rate
    if rate < 1:
        parts.append(attribute(sc.KEEP_PROBABILITY, float(rate)))
    return b",".join(parts)


def capture_of(runtime: Runtime, path: str | None) -> str:
    """How much of a File's calls is kept: its own entry, else the longest pattern, else "full"."""
    setting = runtime.settings.capture
    if isinstance(setting, str):
        return setting
    if path is not None and path in setting:
        return setting[path]
    fitting = [pattern for pattern in setting if fnmatchcase(path or "", pattern)]
    return setting[max(fitting, key=len)] if fitting else "full"
