"""Answers that show Files of all six types; they hold one another, so they are in one place."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from kibitz_collector.api.v5.models.kernels import (
    AgentLinkedFile,
    EvaluatorSpec,
    InlineTool,
    ModelSettings,
    Template,
    ToolType,
)
from kibitz_collector.api.v5.models.shared import (
    Body,
    ChatMessage,
    EnvironmentResponse,
    EvaluatorAggregate,
    FileFields,
    InputResponse,
    JsonObject,
    ToolFunction,
    UserResponse,
)


class LoggedFields(FileFields):
    """What the answers of Files with Logs have."""

    version_logs_count: int
    evaluators: list["MonitoringEvaluatorResponse"] | None = None
    evaluator_aggregates: list[EvaluatorAggregate] | None = None


class CountedFields(LoggedFields):
    """What all of these but Flows have."""

    total_logs_count: int
    inputs: list[InputResponse]


class LinkedToolResponse(ToolFunction):
    """A Tool that a Prompt uses."""

    id: str
    version_id: str


class PromptResponse(CountedFields, ModelSettings):
    """A Prompt at one Version."""

    type: Literal["prompt"] = "prompt"
    tools: list[ToolFunction] | None = None
    linked_tools: list[LinkedToolResponse] | None = None
    schema_: JsonObject | None = Field(None, alias="schema")
    raw_file_content: str | None = None


class PopulateTemplateResponse(PromptResponse):
    """A Prompt at one Version, its template filled."""

    populated_template: Template | None = None


class AgentLinkedFileResponse(AgentLinkedFile):
    """A File that an Agent may call."""

    file: "FileResponse | None" = None


class AgentResponse(CountedFields, ModelSettings):
    """An Agent at one Version."""

    type: Literal["agent"] = "agent"
    tools: list[AgentLinkedFileResponse | InlineTool]
    max_iterations: int | None = None
    schema_: JsonObject | None = Field(None, alias="schema")
    committed_by: UserResponse | None = None
    committed_at: datetime | None = None
    status: Literal["uncommitted", "committed", "deleted"]
    raw_file_content: str | None = None


class ToolResponse(CountedFields):
    """A Tool at one Version."""

    type: Literal["tool"] = "tool"
    function: ToolFunction | None = None
    source_code: str | None = None
    setup_values: JsonObject | None = None
    attributes: JsonObject | None = None
    tool_type: ToolType | None = None
    signature: str | None = None


class EvaluatorResponse(CountedFields):
    """An Evaluator at one Version."""

    type: Literal["evaluator"] = "evaluator"
    spec: EvaluatorSpec
    attributes: JsonObject | None = None
    schema_: JsonObject | None = Field(None, alias="schema")


class FlowResponse(LoggedFields):
    """A Flow at one Version."""

    type: Literal["flow"] = "flow"
    attributes: JsonObject
    schema_: JsonObject | None = Field(None, alias="schema")


class DatapointResponse(Body):
    """One test case of a Dataset."""

    id: str
    inputs: dict[str, str] | None = None
    messages: list[ChatMessage] | None = None
    target: dict[str, Any] | None = None


class DatasetResponse(FileFields):
    """A Dataset at one Version."""

    type: Literal["dataset"] = "dataset"
    datapoints_count: int
    datapoints: list[DatapointResponse] | None = None
    attributes: JsonObject | None = None
    schema_: JsonObject | None = Field(None, alias="schema")


FileResponse = Annotated[
    PromptResponse
    | ToolResponse
    | DatasetResponse
    | EvaluatorResponse
    | FlowResponse
    | AgentResponse,
    Field(discriminator="type"),
]


class VersionDeploymentResponse(Body):
    """Whichever Version an environment uses."""

    type: Literal["environment"] = "environment"
    file: FileResponse
    environment: EnvironmentResponse


class VersionIdResponse(Body):
    """One Version itself."""

    type: Literal["version"] = "version"
    version: FileResponse


class MonitoringEvaluatorResponse(Body):
    """An Evaluator that judges a File's Logs as they arrive."""

    version_reference: VersionDeploymentResponse | VersionIdResponse
    version: EvaluatorResponse | None = None
    state: Literal["active", "inactive"]
    created_at: datetime
    updated_at: datetime


class FileEnvironmentResponse(EnvironmentResponse):
    """An environment, and which Version of a File it uses."""

    file: FileResponse | None = None


for _model in (
    PromptResponse,
    PopulateTemplateResponse,
    ToolResponse,
    EvaluatorResponse,
    FlowResponse,
    AgentResponse,
    AgentLinkedFileResponse,
    MonitoringEvaluatorResponse,
):
    _model.model_rebuild()
