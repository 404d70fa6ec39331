"""`/v5/prompts`: Prompts as Files, their templates and `.prompt` files."""

from typing import Annotated, Any

from fastapi import Body
from fastapi.responses import PlainTextResponse

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_answers import answer_file
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.kernel_texts import read_kernel, serialized
from kibitz_collector.api.v5.models.files import (
    FileResponse,
    PopulateTemplateResponse,
    PromptResponse,
)
from kibitz_collector.api.v5.models.kernels import PromptKernel, content_of
from kibitz_collector.api.v5.models.upserts import DeserializePrompt, PromptRequest
from kibitz_collector.files.template import populate
from kibitz_collector.store.queries.files import get_version

files = FileRoutes("prompt", "prompts", PromptResponse, patch="patch_prompt_version")
router = files.router


@router.post("", operation_id="prompts.upsert", response_model=PromptResponse)
def upsert(caller: Owner, body: PromptRequest) -> FileResponse:
    """Make a Prompt or a new Version of it; equal content is the same Version."""
    return files.upsert(caller, files.change(caller, body), content_of(body, PromptKernel))


@router.post("/deserialize", operation_id="prompts.deserialize", response_model_exclude_unset=True)
def deserialize(caller: Owner, body: DeserializePrompt) -> PromptKernel:
    """Read the text of a `.prompt` file."""
    return read_kernel(body.prompt, PromptKernel)


@router.get("/{id}/serialize", operation_id="prompts.serialize", response_class=PlainTextResponse)
def serialize(
    caller: Owner, id: str, version_id: str | None = None, environment: str | None = None
) -> str:
    """Write a Version as the text of a `.prompt` file."""
    return serialized(files, caller, id, version_id, environment)


@router.post(
    "/{id}/populate", operation_id="prompts.populate", response_model=PopulateTemplateResponse
)
def populate_template(
    caller: Owner,
    id: str,
    inputs: Annotated[dict[str, Any], Body()],
    version_id: str | None = None,
    environment: str | None = None,
) -> PopulateTemplateResponse:
    """Fill a Version's template with inputs."""
    with caller.store.read() as session:
        file, version = files.find(session, caller, id, version_id, environment)
        content = get_version(session, caller.workspace_id, version).content
        answer = answer_file(session, caller.workspace_id, file.id, version)
    template = content.get("template")
    language = content.get("template_language")
    filled = None if template is None else populate(template, inputs, language=language)
    said = answer.model_dump(by_alias=True)
    return PopulateTemplateResponse.model_validate({**said, "populated_template": filled})
