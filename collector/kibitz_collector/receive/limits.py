"""Reads request bodies nobody vouches for: capped while they arrive and while they inflate."""

import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Self

import zstandard
from starlette.requests import Request

from kibitz_collector.config import Settings
from kibitz_collector.errors import BadPayload, Busy, TooLarge, Unsupported

# Below this a high ratio is only a small, repetitive body.
RATIO_FREE_BYTES = 2**20
_MAX_MEMBERS = 1000
_STEP_BYTES = 64 * 1024
_OUTPUT_STEP_BYTES = 2**20
# Four bytes can stand for a block of 128 KiB, and a step's output has no other bound: 8 MiB.
_ZSTD_STEP_BYTES = 256
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Room:
    """How many bytes all requests together may hold while they are read and decoded."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held_bytes = 0

    def take(self, count: int) -> None:
        """Take room for so many bytes.

        Raises: Busy: there is none; the sender should come again.
        """
        with self._lock:
            if self._held_bytes + count > self._max_bytes:
                raise Busy(
                    f"{self._held_bytes} bytes are being received already; send again later",
                    retry_after_s=1.0,
                )
            self._held_bytes += count

    def give(self, count: int) -> None:
        """Give room back."""
        with self._lock:
            self._held_bytes -= count


class Share:
    """One request's part of the room; given back at the end of the `with` block."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = 0

    def take(self, count: int) -> None:
        """Take more room.

        Raises: Busy: there is none.
        """
        self._room.take(count)
        self._bytes += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give(self._bytes)


async def read_body(request: Request, settings: Settings, share: Share | None = None) -> bytearray:
    """Read a body as it was sent, still compressed.

    Raises: TooLarge: before more than the cap is held. Busy: no room is left.
    """
    cap = settings.max_body_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > cap:
        raise _too_large(cap)
    body = bytearray()
    chunks: AsyncIterator[bytes] = request.stream()
    async for chunk in chunks:
        if len(body) + len(chunk) > cap:
            raise _too_large(cap)
        if share is not None:
            share.take(len(chunk))
        body += chunk
    return body


def inflate(body: bytes | bytearray, encoding: str, settings: Settings) -> bytes | bytearray:
    """Undo the content encoding; stops at the caps, however large the rest would be.

    Raises: TooLarge: over the size or ratio cap. BadPayload: damaged or cut off. Unsupported: not
    gzip, deflate, zstd or identity.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            pieces = _inflate_gzip(body)
        case "deflate":
            pieces = _inflate_deflate(body)
        case "zstd":
            pieces = _inflate_zstd(body)
        case _:
            raise Unsupported(
                f"Content-Encoding {encoding!r} is not read here; send gzip, deflate, zstd or none"
            )
    if not body:
        return b""
    by_ratio = max(RATIO_FREE_BYTES, settings.max_inflate_ratio * len(body))
    cap = min(settings.max_inflated_bytes, by_ratio)
    inflated = bytearray()
    try:
        for piece in pieces:
            if len(inflated) + len(piece) > cap:
                raise TooLarge(f"the body inflates from {len(body)} to more than {cap} bytes")
            inflated += piece
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise BadPayload(f"the body is not whole {encoding} data: {error}") from None
    return inflated


def _inflate_gzip(body: bytes | bytearray) -> Iterator[bytes]:
    rest = memoryview(body)
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(_GZIP)
        position = 0
        while not inflater.eof:
            if position >= len(rest) and not inflater.unconsumed_tail:
                raise EOFError("it ends in the middle")
            step = inflater.unconsumed_tail or bytes(rest[position : position + _STEP_BYTES])
            if not inflater.unconsumed_tail:
                position += len(step)
            yield inflater.decompress(step, _OUTPUT_STEP_BYTES)
        rest = rest[position - len(inflater.unused_data) :]
        if not bytes(rest[:_STEP_BYTES]).strip(b"\0"):
            return  # padding after the last member is allowed
    raise EOFError(f"it has more than {_MAX_MEMBERS} members")


def _inflate_deflate(body: bytes | bytearray) -> Iterator[bytes]:
    """Inflate zlib data, or the raw deflate some clients send under the same name."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    inflater = zlib.decompressobj(_ZLIB if is_zlib else _RAW)
    rest: bytes = bytes(body)
    while not inflater.eof:
        if not rest:
            raise EOFError("it ends in the middle")
        yield inflater.decompress(rest, _OUTPUT_STEP_BYTES)
        rest = inflater.unconsumed_tail
    if inflater.unused_data:
        raise EOFError("something follows its end")


def _inflate_zstd(body: bytes | bytearray) -> Iterator[bytes]:
    # The window is what a frame may make us allocate before a byte comes out.
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**26)
    rest = bytes(body)
    for _ in range(_MAX_MEMBERS):
        frame = decompressor.decompressobj()
        position = 0
        while not frame.eof:
            if position >= len(rest):
                raise EOFError("it ends in the middle")
            step = rest[position : position + _ZSTD_STEP_BYTES]
            position += len(step)
            yield frame.decompress(step)
        rest = rest[position - len(frame.unused_data) :]
        if not rest:
            return
    raise EOFError(f"it has more than {_MAX_MEMBERS} frames")


def _too_large(cap: int) -> TooLarge:
    return TooLarge(f"the body is larger than {cap} bytes; send less at once")
