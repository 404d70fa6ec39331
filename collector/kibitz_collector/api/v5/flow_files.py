"""`/v5/flows`: Flows as Files."""

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.models.files import FileResponse, FlowResponse
from kibitz_collector.api.v5.models.kernels import FlowKernel, content_of
from kibitz_collector.api.v5.models.upserts import FlowRequest

files = FileRoutes("flow", "flows", FlowResponse)
router = files.router


@router.post("", operation_id="flows.upsert", response_model=FlowResponse)
def upsert(caller: Owner, body: FlowRequest) -> FileResponse:
    """Make a Flow or a new Version of it; equal attributes are the same Version."""
    return files.upsert(caller, files.change(caller, body), content_of(body, FlowKernel))
