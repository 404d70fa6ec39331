"""OTLP over HTTP: `/v1/traces`, `/v1/logs`, `/v1/metrics`, in protobuf and JSON."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kibitz_collector.access.http import Context, context
from kibitz_collector.errors import Busy, CollectorError, Unsupported
from kibitz_collector.receive import answers, otlp_json, otlp_proto
from kibitz_collector.receive.accept import Verdict, accept_logs, accept_spans
from kibitz_collector.receive.limits import Room, Share, inflate, read_body
from kibitz_collector.receive.producer import read_report
from kibitz_collector.store.writes.producers import ProducerReport
from kibitz_collector.turns import TURN

# Apart from the threads that serve pages: a busy writer must not make the pages wait.
MAX_THREADS = 32
BODY_TIMEOUT_S = 30.0
_LARGE_BYTES = 2 * 2**20
_PROTOBUF_TYPES = frozenset(("application/x-protobuf", "application/protobuf"))
_threads: RunVar[anyio.CapacityLimiter] = RunVar("kibitz_receive_threads")
_room: RunVar[Room] = RunVar("kibitz_receive_room")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """A body as it came, and how it is packed."""

    body: bytearray
    encoding: str
    is_json: bool
    report: ProducerReport | None = None


async def receive_traces(request: Request) -> Response:
    """Take an ExportTraceServiceRequest."""

    def take(caller: Context, upload: Upload, share: Share) -> Verdict:
        body = unpack(caller, upload, share)
        decode = otlp_json.decode_spans if upload.is_json else otlp_proto.decode_spans
        with _turn_for(body):
            decoded = decode(body)
        return accept_spans(caller, decoded, upload.report)

    return await _receive(request, "spans", take)


async def receive_logs(request: Request) -> Response:
    """Take an ExportLogsServiceRequest."""

    def take(caller: Context, upload: Upload, share: Share) -> Verdict:
        body = unpack(caller, upload, share)
        decode = otlp_json.decode_logs if upload.is_json else otlp_proto.decode_logs
        return accept_logs(caller, decode(body), upload.report)

    return await _receive(request, "logs", take)


async def receive_metrics(request: Request) -> Response:
    """Answer that metrics are not kept: a 404 would make hosts log an error each minute."""

    def take(caller: Context, upload: Upload, share: Share) -> Verdict:
        return Verdict(reasons=["kibitz keeps no metrics; spans and log records only"])

    return await _receive(request, "metrics", take)


async def in_thread(function: Callable[[], T]) -> T:
    """Run blocking work of this room on its own share of threads."""
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _threads.set(limiter)
    return await anyio.to_thread.run_sync(function, limiter=limiter)


def share_room(caller: Context) -> Share:
    """Begin a request's share of the bytes that may be received at once.

    Raises: Busy: so much waits for the writer that reading the body would be for nothing.
    """
    settings = caller.settings
    if caller.store.pending_bytes >= settings.max_pending_bytes:
        raise Busy("as much waits to be stored as may wait; send again later", retry_after_s=1.0)
    try:
        room = _room.get()
    except LookupError:
        room = Room(settings.max_pending_bytes + settings.max_inflated_bytes)
        _room.set(room)
    return Share(room)


def unpack(caller: Context, upload: Upload, share: Share) -> bytes | bytearray:
    """Return the body as it was before it was compressed.

    Raises: TooLarge, BadPayload, Unsupported. Busy: no room is left for it.
    """
    body = inflate(upload.body, upload.encoding, caller.settings)
    if body is not upload.body:
        share.take(len(body))
    return body


async def read_upload(request: Request, caller: Context, share: Share, *, is_json: bool) -> Upload:
    """Read the body within the time, size and room a sender has.

    Raises: TooLarge. Busy: it did not arrive in time, or no room is left.
    """
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            body = await read_body(request, caller.settings, share)
    except TimeoutError:
        raise Busy(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
    encoding = request.headers.get("content-encoding", "")
    return Upload(body, encoding, is_json, read_report(request.headers))


def _turn_for(body: bytes | bytearray) -> AbstractContextManager[object]:
    """A large body is decoded beside the others: it would hold them up."""
    return TURN if len(body) <= _LARGE_BYTES else nullcontext()


async def _receive(
    request: Request, signal: str, take: Callable[[Context, Upload, Share], Verdict]
) -> Response:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = content_type not in _PROTOBUF_TYPES
    try:
        caller = await in_thread(lambda: context(request))
        if is_json and content_type != answers.JSON:
            raise Unsupported(
                f"Content-Type {content_type!r} is not read here; "
                f"send {answers.PROTOBUF} or {answers.JSON}"
            )
        verdict = Verdict()
        with share_room(caller) as share:
            upload = await read_upload(request, caller, share, is_json=is_json)
            if upload.body:
                verdict = await in_thread(lambda: take(caller, upload, share))
    except CollectorError as error:
        return answers.failure(error, is_json=is_json)
    return answers.success(
        signal, is_json=is_json, rejected=verdict.rejected, message=verdict.message
    )


routes: list[BaseRoute] = [
    Route("/v1/traces", receive_traces, methods=["POST"]),
    Route("/v1/logs", receive_logs, methods=["POST"]),
    Route("/v1/metrics", receive_metrics, methods=["POST"]),
]
