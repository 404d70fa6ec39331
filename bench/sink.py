"""A loopback HTTP server that answers 200 to everything and counts the spans it was sent.

Bodies are only kept while a client is measured, and taken apart when somebody asks for the count.
"""

import argparse
import asyncio
import gzip
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Body = tuple[str, bytes]  # content encoding, bytes


class Sink:
    """What arrived, in order."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes."""
        try:
            while True:
                method, path, headers = await _read_head(reader)
                body = await _read_body(reader, headers)
                answer = self._answer(method, path, headers.get("content-encoding", ""), body)
                kind = headers.get("content-type", "")
                if "protobuf" in kind:
                    answer = b""  # an empty ExportTraceServiceResponse: all accepted
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
                    % (kind.encode() or b"application/json", len(answer), answer)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, method: str, path: str, encoding: str, body: bytes) -> bytes:
        if path == "/__stats":
            return json.dumps(count(self.bodies)).encode()
        if path == "/__requests":
            return json.dumps({"requests": len(self.bodies)}).encode()
        if path == "/__reset":
            self.bodies.clear()
        elif method == "POST":
            self.bodies.append((encoding, body))
        return b"{}"


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    pairs = [line.partition(":") for line in lines[1:] if line]
    return method, path, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    parts: list[bytes] = []
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
    return b"".join(parts)


# --- counting


def count(bodies: list[Body]) -> dict[str, int]:
    """Count requests, bytes and spans; `distinct`: by span id. Start records are no spans.

    Shape: {"requests": int, "bytes": int, "spans": int, "distinct": int}
    """
    spans = 0
    distinct: set[bytes] = set()
    for encoding, body in bodies:
        plain = gzip.decompress(body) if encoding == "gzip" else body
        ids = _ids_of_json(plain) if plain[:1] == b"{" else _ids_of_protobuf(plain)
        spans += len(ids)
        distinct.update(ids)
    size = sum(len(body) for _, body in bodies)
    return {
        "requests": len(bodies),
        "bytes": size,
        "spans": spans,
        "distinct": len(distinct),
    }


def _ids_of_json(body: bytes) -> list[bytes]:
    return [
        span["spanId"].encode()
        for resource in json.loads(body).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["endTimeUnixNano"] != "0"
    ]


def _ids_of_protobuf(body: bytes) -> list[bytes]:
    """Walk ExportTraceServiceRequest > ResourceSpans > ScopeSpans > Span > span_id."""
    try:
        return [
            bytes(span_id)
            for resource in _fields(memoryview(body), 1)
            for scope in _fields(resource, 2)
            for span in _fields(scope, 2)
            for span_id in _fields(span, 2)
        ]
    except (IndexError, ValueError):
        return []  # something a peer sends beside its spans


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield each length-delimited field of this number."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire, number = key & 7, key >> 3
        if wire == 2:
            length, position = _varint(message, position)
            if number == wanted:
                yield message[position : position + length]
            position += length
        elif wire == 0:
            _, position = _varint(message, position)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(wire)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


# --- the process


@contextmanager
def running() -> Iterator[str]:
    """Run a sink as a process of its own; yields its URL."""
    command = [sys.executable, "-m", "bench.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def ask(url: str, path: str) -> dict[str, Any]:
    """Ask a running sink: /__stats, /__requests or /__reset."""
    with urllib.request.urlopen(url + path, timeout=120) as reply:
        answer: dict[str, Any] = json.load(reply)
        return answer


async def _serve() -> None:
    sink = Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=2**26)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(_serve())
