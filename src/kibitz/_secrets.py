"""Scrubbing of secrets: a search over a record's bytes for all anchors, patterns where it hits.

The search is Rust's `regex`, as pydantic has it: it keeps the GIL. One that lets go of it makes
one call in 200 wait for milliseconds, to get it back from the host's busy threads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from pydantic_core import SchemaValidator, core_schema

from kibitz._patterns import SECRETS

_SMALL_BYTES = 64 * 1024
_BEFORE, _AFTER = 256, 16 * 1024  # of a hit in a large record: where its pattern is tried
_MOST_TEXTS = 56  # up to 64 are looked for as whole vectors, more of them six times slower

Span = tuple[int, int]
_Test = Callable[[bytes], bool]

_REGEXES = [[re.compile(regex.encode()) for regex in each.regexes] for each in SECRETS]
_NAMES = [b"[secret:%b]" % each.name.encode() for each in SECRETS]


def _alike(text: str) -> list[int]:
    """What a search for whole vectors compares: half bytes."""
    return [ord(letter) & 15 for letter in text[:3]]


def _groups() -> Iterator[tuple[_Test, list[int]]]:
    """Deal the formats out, like ones together, to as few searches as do."""
    group: list[int] = []
    anchors: list[str] = []
    for number in sorted(range(len(SECRETS)), key=_first):
        own = SECRETS[number].anchors
        if not own:
            yield _test_of(number), [number]
            continue
        if len(anchors) + len(own) > _MOST_TEXTS:
            yield _test(_any_of(anchors)), group
            group, anchors = [], []
        group.append(number)
        anchors += own
    yield _test(_any_of(anchors)), group


def _first(number: int) -> list[int]:
    return [place for anchor in SECRETS[number].anchors[:1] for place in _alike(anchor)]


@cache
def _test_of(number: int) -> _Test:
    return _test(SECRETS[number].sieve or _any_of(SECRETS[number].anchors))


def _test(pattern: str) -> _Test:
    """Tell of UTF-8 whether the pattern is in it."""
    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    return SchemaValidator(schema).isinstance_python


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(re.sub(r"([.?+*|()\[\]{}^$\\])", r"\\\1", text) for text in _dealt(texts))


def _dealt(texts: Iterable[str]) -> list[str]:
    """The order that puts like texts into one of 16 groups: 0.6 µs for a record, not 1 µs."""
    alike = sorted(texts, key=_alike)
    size = -(-len(alike) // 16)
    return [text for row in range(size) for text in alike[row::size]]


_GROUPS = list(_groups())
_TESTS = [test for test, _ in _GROUPS]


def scrub_secrets(payload: bytes) -> bytes:
    """Replace every secret of a known format in a record, that is UTF-8, by its kind."""
    for test in _TESTS:
        if test(payload):
            return _scrub_present(payload, _present(payload))
    return payload


def _present(payload: bytes) -> list[int]:
    """The formats that may be in it."""
    numbers = [number for test, numbers in _GROUPS if test(payload) for number in numbers]
    return sorted(number for number in numbers if _test_of(number)(payload))


def _scrub_present(payload: bytes, numbers: list[int]) -> bytes:
    if len(payload) <= _SMALL_BYTES:
        return _scrub_all(payload, numbers)
    starts = sorted(start for number in numbers for start in _starts(payload, number))
    pieces, done = [], 0
    for low, high in _windows(starts, len(payload)):
        pieces += [payload[done:low], _scrub_all(payload[low:high], numbers)]
        done = high
    return b"".join([*pieces, payload[done:]])


def _starts(payload: bytes, number: int) -> Iterator[int]:
    for anchor in SECRETS[number].anchors:
        start = payload.find(anchor.encode())
        while start >= 0:
            yield start
            start = payload.find(anchor.encode(), start + 1)
    if not SECRETS[number].anchors:
        for regex in _REGEXES[number]:
            yield from (match.start() for match in regex.finditer(payload))


def _scrub_all(text: bytes, numbers: list[int]) -> bytes:
    for number in numbers:
        text = _scrub(text, number)
    return text


def _scrub(text: bytes, number: int) -> bytes:
    mark = _NAMES[number]

    def replace(match: re.Match[bytes]) -> bytes:
        return match.group(1) + mark if match.re.groups else mark

    for regex in _REGEXES[number]:
        text = regex.sub(replace, text)
    return text


def _windows(starts: list[int], size: int) -> list[Span]:
    merged: list[Span] = []
    for start in starts:
        low, high = max(0, start - _BEFORE), min(size, start + _AFTER)
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged
