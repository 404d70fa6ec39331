"""`POST /v5/import/otel/v1/traces`: spans of the unmodified Humanloop decorators.

The exporter of the Python SDK dies on any answer but 200, and with it every later span of its
process; so the answer is 200 for whatever can be read at all, and a failing commit is retried here.
"""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from kibitz_collector.access.http import context
from kibitz_collector.api.v5.contract import ContractRoute
from kibitz_collector.api.v5.models.otel import TracesImported
from kibitz_collector.receive import otlp_json
from kibitz_collector.receive.accept import Verdict, accept_spans, insist
from kibitz_collector.receive.http import in_thread, read_upload, share_room, unpack

router = APIRouter(prefix="/v5", tags=["otel"], route_class=ContractRoute)


@router.post("/import/otel/v1/traces", operation_id="otel.import", response_model=TracesImported)
async def import_traces(request: Request) -> Response:
    """Take OTLP/JSON, whatever the content type says; answers one Log id per span."""
    caller = await in_thread(lambda: context(request))
    with share_room(caller) as share:
        upload = await read_upload(request, caller, share, is_json=True)

        def take() -> Verdict:
            body = unpack(caller, upload, share)
            decoded = otlp_json.decode_spans(body) if body else []
            return insist(lambda: accept_spans(caller, decoded))

        verdict = await in_thread(take)
    return JSONResponse({"records": verdict.ids})
