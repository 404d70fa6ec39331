"""A progress bar on the error stream, if that is a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

_WIDTH = 30
_EACH_S = 0.1


class Progress:
    """One line that is written over; nothing at all where nobody looks."""

    def __init__(self, total: int, *, is_shown: bool = True, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = is_shown and self._stream is not None and self._stream.isatty()
        self._total = total
        self._shown_at = 0.0
        self._length = 0
        self.done = 0

    def step(self, label: str, count: int = 1) -> None:
        """Count what was done."""
        self.done += count
        self.show(label)

    def show(self, label: str) -> None:
        """Show how far it is, not too often."""
        now = time.monotonic()
        is_last = self.done >= self._total
        if not self._is_shown or (now - self._shown_at < _EACH_S and not is_last):
            return
        self._shown_at = now
        filled = _WIDTH * min(self.done, self._total) // max(1, self._total)
        text = f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {self.done}/{self._total} {label}"
        self._write(f"\r{text:<{self._length}}")
        self._length = len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._length:
            self._write("\r" + " " * self._length + "\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
