"""What many Logs say alike is stored once: which values of a body, and under which hash."""

import threading
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

SHARE_BYTES = 1024
SHARE_ALWAYS_BYTES = 128  # system messages and tool definitions come with every call
_HOLDERS = ("inputs", "attributes", "metadata", "provider_request", "provider_response")
_LONGEST_KNOWN = 4096  # characters
_Path = list[str | int]


class SeenHashes:
    """Hashes of long values seen lately: a value is shared from its second sight on."""

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._seen: dict[int, None] = {}
        self._lock = threading.Lock()

    def check(self, value_hash: int) -> bool:
        """Tell whether the value was seen before; it has been seen now."""
        with self._lock:
            known = value_hash in self._seen
            if not known:
                self._seen[value_hash] = None
                if len(self._seen) > self._limit:
                    del self._seen[next(iter(self._seen))]
            return known

    def forget(self, hashes: list[int]) -> None:
        """Undo the first sight of values that were not stored after all."""
        with self._lock:
            for value_hash in hashes:
                self._seen.pop(value_hash, None)


class Sharing:
    """Splits one body into what is its own and what it shares with others."""

    __slots__ = ("contents", "fresh", "lengths", "references", "saved_bytes", "seen", "shared")

    def __init__(self, seen: SeenHashes) -> None:
        self.seen = seen
        self.references: list[Any] = []
        self.contents: dict[bytes, bytes] = {}
        self.fresh: list[int] = []  # hashes seen for the first time
        self.saved_bytes = 0  # of JSON
        self.shared: dict[str, tuple[str, int]] = {}  # text -> hash, bytes
        self.lengths: set[int] = set()  # of those texts: others need not be looked up

    def take_out(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with None where one is shared."""
        kept = values.copy()
        if "tools" in kept:
            data, value_hash = _digest(kept["tools"])
            if len(data) >= SHARE_ALWAYS_BYTES:
                self._refer(["tools"], data, value_hash, value_hash.hex())
                kept["tools"] = None
        messages = kept.get("messages")
        if messages.__class__ is list:
            kept["messages"] = self._take_out_messages(messages)
        lengths = self.lengths
        for name in _HOLDERS:
            holder = kept.get(name)
            if isinstance(holder, dict):
                long = [
                    key
                    for key, value in holder.items()
                    if value.__class__ is str
                    and len(value) >= SHARE_ALWAYS_BYTES
                    and (len(value) >= SHARE_BYTES or len(value) in lengths)
                    and self._take_text(value, name, key)
                ]
                if long:
                    kept[name] = {**holder, **dict.fromkeys(long)}
        output = kept.get("output")
        if isinstance(output, str):
            is_long = len(output) >= SHARE_BYTES
            kept["output"] = None if is_long and self._take_if_seen(output, ["output"]) else output
        return kept

    def _take_text(self, value: str, name: str, key: str) -> bool:
        known = self.shared.get(value)
        if known is not None:  # just taken out elsewhere: one copy costs as much as two
            self.references.append([[name, key], known[0]])
            self.saved_bytes += known[1]
            return True
        return len(value) >= SHARE_BYTES and self._take_if_seen(value, [name, key])

    def _take_out_messages(self, messages: list[Any]) -> list[Any]:
        kept = messages
        for index, message in enumerate(messages):
            if not isinstance(message, dict):
                continue
            content = message.get("content")
            if not isinstance(content, str) or len(content) < SHARE_ALWAYS_BYTES:
                continue
            path: _Path = ["messages", index, "content"]
            if message.get("role") in ("system", "developer"):
                self._take_always(content, path)
            elif len(content) < SHARE_BYTES or not self._take_if_seen(content, path):
                continue
            if kept is messages:
                kept = messages.copy()
            kept[index] = {**message, "content": None}
        return kept

    def _take_if_seen(self, value: str, path: _Path) -> bool:
        text_hash = hash(value)  # of this process, and ten times as fast as the one that is stored
        if not self.seen.check(text_hash):
            self.fresh.append(text_hash)
            return False
        self._take_always(value, path)
        return True

    def _take_always(self, value: str, path: _Path) -> None:
        known = len(value) <= _LONGEST_KNOWN
        data, value_hash = _known_digest(value) if known else _digest(value)
        shown = value_hash.hex()
        self._refer(path, data, value_hash, shown)
        self.shared[value] = shown, len(data) - len(b"null")
        self.lengths.add(len(value))

    def _refer(self, path: _Path, data: bytes, value_hash: bytes, shown: str) -> None:
        self.references.append([path, shown])
        self.contents[value_hash] = data
        self.saved_bytes += len(data) - len(b"null")


def _digest(value: Any) -> tuple[bytes, bytes]:
    data = orjson.dumps(value)
    return data, blake2b(data, digest_size=16).digest()


_known_digest = lru_cache(maxsize=512)(_digest)  # an application has few system messages
