"""The load: batches over keep-alive connections, repeated as an OTLP client must when refused."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.ingest.batches import Batch

_RETRIED = {429, 502, 503, 504}
_LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class Sent:
    """What the answers said."""

    accepted: int = 0
    refused: int = 0
    latency_s: list[float] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0
    own_cpu_s: float = 0.0
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send."""

    url: str
    batches: list[Batch]
    connections: int
    duration_s: float
    headers: dict[str, str] = field(default_factory=dict)
    first_sequence: int = 0


class _Connection:
    def __init__(self, plan: Plan) -> None:
        target = urlsplit(plan.url)
        self._host, self._port = target.hostname or "", target.port or 80
        headers = {"host": target.netloc, "content-type": "application/x-protobuf", **plan.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {target.path} HTTP/1.1\r\n{lines}"
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> tuple[int, dict[str, str]]:
        if self._pipe is None:
            self._pipe = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._pipe
        writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        pairs = [line.partition(":") for line in lines[1:] if line]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        await self._skip(reader, headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), headers

    async def _skip(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
        if "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe[1].close()
        self._pipe = None


async def send(plan: Plan) -> Sent:
    """Send until the time is over; every batch is repeated until it is accepted or refused."""
    sent = Sent(last_sequence=plan.first_sequence)
    start, cpu = time.perf_counter(), time.process_time()
    deadline = start + plan.duration_s
    await asyncio.gather(*(_work(plan, sent, deadline) for _ in range(plan.connections)))
    sent.took_s = time.perf_counter() - start
    sent.own_cpu_s = time.process_time() - cpu
    return sent


async def _work(plan: Plan, sent: Sent, deadline: float) -> None:
    connection = _Connection(plan)
    while time.perf_counter() < deadline:
        sent.last_sequence += 1
        batch = plan.batches[sent.last_sequence % len(plan.batches)]
        await _deliver(connection, batch.make(sent.last_sequence), batch.size, sent, deadline)
    connection.close()


async def _deliver(
    connection: _Connection, body: bytes, spans: int, sent: Sent, deadline: float
) -> None:
    pause_s = 0.1
    while True:
        start = time.perf_counter()
        headers: dict[str, str] = {}
        try:
            status, headers = await connection.post(body)
        except (OSError, asyncio.IncompleteReadError) as error:
            connection.close()
            status = 0
            sent.retries[type(error).__name__] += 1
        sent.latency_s.append(time.perf_counter() - start)
        if 200 <= status < 300:
            sent.accepted += spans
            return
        if (status and status not in _RETRIED) or time.perf_counter() > deadline + 30:
            sent.refused += spans
            return
        if status:
            sent.retries[str(status)] += 1
        await asyncio.sleep(min(_wait_s(headers, pause_s), _LONGEST_PAUSE_S))
        pause_s *= 2


def _wait_s(headers: dict[str, str], pause_s: float) -> float:
    try:
        return float(headers.get("retry-after", pause_s))
    except ValueError:
        return pause_s
