"""Texts of Logs just committed, kept for the text index so that it need not read them back.

Only a shortcut: what is not here (another process wrote it, there was no room, we were started
again) the index reads from the database.
"""

import threading
from collections import deque
from collections.abc import Iterable
from itertools import islice

MAX_BYTES = 16 * 2**20
_OVERHEAD_BYTES = 150


class FreshTexts:
    """Filled by the writer in the order of `seq`, emptied by the index; thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: deque[tuple[int, str]] = deque()
        self._lock = threading.Lock()

    @property
    def is_wanted(self) -> bool:
        """Tell whether there is an index in this process that takes texts from here."""
        return self._max_bytes > 0

    @property
    def newest(self) -> int:
        """The last `seq` it holds; 0: none."""
        with self._lock:
            return self._texts[-1][0] if self._texts else 0

    def add(self, texts: Iterable[tuple[int, str]]) -> None:
        """Take over (seq, text) of Logs that are committed, as long as there is room."""
        with self._lock:
            for seq, text in texts:
                size = len(text) + _OVERHEAD_BYTES
                if self._bytes + size > self._max_bytes:
                    return
                self._bytes += size
                self._texts.append((seq, text))

    def after(self, progress: int, limit: int) -> list[tuple[int, str]]:
        """Return the texts that follow `progress` without a gap; forgets those before."""
        with self._lock:
            while self._texts and self._texts[0][0] <= progress:
                self._bytes -= len(self._texts.popleft()[1]) + _OVERHEAD_BYTES
            return [
                (seq, text)
                for place, (seq, text) in enumerate(islice(self._texts, limit), progress + 1)
                if seq == place
            ]
