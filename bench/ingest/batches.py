"""Request bodies made once and patched: encoding must not cost more than storing.

Per hundred spans there is one trace of fifty and five of ten.
"""

import os
import random
import struct
import time
from dataclasses import dataclass

from bench.ingest.spans import NEEDLE, Text, attributes
from bench.ingest.wire import attribute, field

_TRACE_SIZES = (50, 10, 10, 10, 10, 10)
_NAMES = {"CHAIN": "handle", "LLM": "chat gpt-4o", "TOOL": "tool.search", "RETRIEVER": "retrieve"}
_KINDS = ("LLM", "LLM", "LLM", "TOOL", "RETRIEVER")
_ERROR_SHARE = 0.03
_IDS_AT = 2  # of the trace id in a span; the span id follows 18 bytes later
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where one span is patched."""

    at: int
    needles: list[int]
    trace: int
    parent: int  # span in this batch, -1: a root
    number: int  # in its trace


class Batch:
    """One ExportTraceServiceRequest, sent many times with new ids, times and needles."""

    def __init__(self, size: int, dialect: str, span_bytes: int, seed: int, text: Text) -> None:
        source = random.Random(seed)
        self.size = size
        self._traces = _trace_sizes(size)
        spans: list[bytes] = []
        places: list[tuple[int, int, int]] = []
        for trace, length in enumerate(self._traces):
            first = len(spans)
            for number in range(length):
                kind = "CHAIN" if number == 0 else source.choice(_KINDS)
                told = attributes(source, kind, dialect, span_bytes, text)
                spans.append(_span(kind, number > 0, told, source.random() < _ERROR_SHARE))
                places.append((trace, _parent(source, first, number), number))
        scope = field(1, field(1, b"bench"))
        scope_spans = scope + b"".join(field(2, span) for span in spans)
        resource = field(1, field(1, attribute("service.name", "bench")))
        body = field(1, resource + field(2, scope_spans))
        self._buffer = bytearray(body)
        self._holes = _holes(spans, places, body.index(scope_spans) + len(scope))

    @property
    def body_bytes(self) -> int:
        """Length of the body."""
        return len(self._buffer)

    @property
    def traces(self) -> int:
        """How many traces are in it."""
        return len(self._traces)

    def make(self, sequence: int) -> bytes:
        """Return the body with ids nobody has seen; its needles are numbered on from `sequence`."""
        buffer, put = self._buffer, struct.pack_into
        fresh = os.urandom(16 * len(self._traces) + 8 * self.size)
        span_ids = fresh[16 * len(self._traces) :]
        start_ns = time.time_ns() - 2 * _NS
        for index, hole in enumerate(self._holes):
            at = hole.at + _IDS_AT
            buffer[at : at + 16] = fresh[16 * hole.trace : 16 * hole.trace + 16]
            buffer[at + 18 : at + 26] = span_ids[8 * index : 8 * index + 8]
            at += 26
            if hole.parent >= 0:
                buffer[at + 2 : at + 10] = span_ids[8 * hole.parent : 8 * hole.parent + 8]
                at += 10
            took_ns = _NS if hole.number == 0 else _NS // 3 + index * 1_000_000 % (_NS // 2)
            put("<Q", buffer, at + 1, start_ns + index * 1000)
            put("<Q", buffer, at + 10, start_ns + index * 1000 + took_ns)
            digits = b"%08x" % ((sequence * len(self._traces) + hole.trace) & 0xFFFFFFFF)
            for needle in hole.needles:
                buffer[needle : needle + 8] = digits
        return bytes(buffer)


def needle(sequence: int, traces: int) -> str:
    """Return the word in the texts of a batch's first trace."""
    return f"{NEEDLE[:4]}{sequence * traces & 0xFFFFFFFF:08x}"


def _trace_sizes(spans: int) -> list[int]:
    sizes: list[int] = []
    while spans:
        for size in _TRACE_SIZES:
            taken = min(size, spans)
            if taken:
                sizes.append(taken)
                spans -= taken
    return sizes


def _parent(source: random.Random, first: int, number: int) -> int:
    if number == 0:
        return -1
    return first if number < 5 or source.random() < 0.5 else first + source.randrange(1, number)


def _span(kind: str, is_child: bool, body: dict[str, str | int | float], is_error: bool) -> bytes:
    ids = b"\x0a\x10" + bytes(16) + b"\x12\x08" + bytes(8)
    parent = b"\x22\x08" + bytes(8) if is_child else b""
    times = b"\x39" + bytes(8) + b"\x41" + bytes(8)
    status = field(15, field(2, b"boom") + b"\x18\x02") if is_error else field(15, b"\x18\x01")
    named = field(5, _NAMES[kind].encode()) + b"\x30\x01"
    encoded = b"".join(field(9, attribute(key, value)) for key, value in body.items())
    return ids + parent + times + named + encoded + status


def _holes(spans: list[bytes], places: list[tuple[int, int, int]], at: int) -> list[_Hole]:
    holes = []
    word = NEEDLE.encode()
    for span, (trace, parent, number) in zip(spans, places, strict=True):
        at += len(field(2, span)) - len(span)
        needles, found = [], span.find(word)
        while found >= 0:
            needles.append(at + found + 4)
            found = span.find(word, found + 1)
        holes.append(_Hole(at, needles, trace, parent, number))
        at += len(span)
    return holes
