"""The last Prompts a collector gave, on disk: for when it is away as the app starts."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import orjson

_ROOM = "prompts"
_MOST_FILES = 1_000
_FORMAT = 1


class PromptCache:
    """One file for each Prompt, whole or not there; of one collector and key.

    Shape: a file is the hash of the rest, a line feed, and the rest: JSON. What does not fit its
    hash is as if it were not there. Nothing here raises: a full or read-only disk costs the cache.
    """

    def __init__(self, directory: Path) -> None:
        self._room = directory / _ROOM

    def read(self, *key: str | None) -> dict[str, Any] | None:
        """Return the collector's answer that was kept under a key."""
        try:
            digest, _, text = self._path(key).read_bytes().partition(b"\n")
            kept: dict[str, Any] = orjson.loads(text) if digest == _digest(text) else {}
        except (OSError, ValueError):
            return None
        is_its = kept.get("format") == _FORMAT and kept.get("key") == list(key)
        return kept["answer"] if is_its else None

    def write(self, answer: dict[str, Any], *key: str | None) -> None:
        """Keep an answer in place of the one before; readers see one or the other."""
        text = orjson.dumps({"format": _FORMAT, "key": key, "answer": answer})
        path = self._path(key)
        draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        try:
            self._room.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(draft, flags, 0o600), "wb") as file:
                file.write(_digest(text) + b"\n" + text)
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            return
        self._make_room()

    def _path(self, key: tuple[str | None, ...]) -> Path:
        return self._room / f"{hashlib.sha256(orjson.dumps(key)).hexdigest()[:32]}.json"

    def _make_room(self) -> None:
        with contextlib.suppress(OSError):
            files = list(self._room.iterdir())
            if len(files) <= _MOST_FILES:
                return
            files.sort(key=lambda path: path.lstat().st_mtime)
            for path in files[: len(files) - _MOST_FILES]:
                path.unlink(missing_ok=True)


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).hexdigest().encode()
