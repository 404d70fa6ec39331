"""`/v5/tools`: Tools as Files."""

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.models.files import FileResponse, ToolResponse
from kibitz_collector.api.v5.models.kernels import ToolKernel, content_of
from kibitz_collector.api.v5.models.upserts import ToolRequest
from kibitz_collector.files.kinds.tool import check_tool

files = FileRoutes("tool", "tools", ToolResponse)
router = files.router


@router.post("", operation_id="tools.upsert", response_model=ToolResponse)
def upsert(caller: Owner, body: ToolRequest) -> FileResponse:
    """Make a Tool or a new Version of it; equal content is the same Version."""
    content = content_of(body, ToolKernel)
    check_tool(content)
    return files.upsert(caller, files.change(caller, body), content)
