"""`/v5/agents`: Agents as Files, and their `.agent` files."""

from fastapi.responses import PlainTextResponse

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.kernel_texts import read_kernel, serialized
from kibitz_collector.api.v5.models.files import AgentResponse, FileResponse
from kibitz_collector.api.v5.models.kernels import AgentKernel, content_of
from kibitz_collector.api.v5.models.upserts import AgentRequest, DeserializeAgent

files = FileRoutes("agent", "agents", AgentResponse, patch="patch_agent_version")
router = files.router


@router.post("", operation_id="agents.upsert", response_model=AgentResponse)
def upsert(caller: Owner, body: AgentRequest) -> FileResponse:
    """Make an Agent or a new Version of it; equal content is the same Version."""
    return files.upsert(caller, files.change(caller, body), content_of(body, AgentKernel))


@router.post("/deserialize", operation_id="agents.deserialize", response_model_exclude_unset=True)
def deserialize(caller: Owner, body: DeserializeAgent) -> AgentKernel:
    """Read the text of an `.agent` file."""
    return read_kernel(body.agent, AgentKernel)


@router.get("/{id}/serialize", operation_id="agents.serialize", response_class=PlainTextResponse)
def serialize(
    caller: Owner, id: str, version_id: str | None = None, environment: str | None = None
) -> str:
    """Write a Version as the text of an `.agent` file."""
    return serialized(files, caller, id, version_id, environment)
