"""Requests and answers about Logs.

Answers hold exactly one of `prompt`, `tool`, `evaluator`, `flow`, `agent`: the official Python SDK
takes the first of its models that fits.
Source: Humanloop API v5, 2025-07.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kibitz_collector.api.v5.models.files import (
    AgentResponse,
    EvaluatorResponse,
    FlowResponse,
    PromptResponse,
    ToolResponse,
)
from kibitz_collector.api.v5.models.kernels import (
    AgentKernel,
    EvaluatorSpec,
    FlowKernel,
    PromptKernel,
    ToolKernel,
)
from kibitz_collector.api.v5.models.shared import Body, ChatMessage, Paginated

Json = dict[str, Any]
LogStatus = Literal["complete", "incomplete"]
Judgment = bool | str | list[str] | float
Count = Annotated[int, Field(ge=0, lt=2**53)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class FunctionChoice(Body):
    """A function by name."""

    name: str


class NamedTool(Body):
    """The one function a model is to call."""

    type: Literal["function"] = "function"
    function: FunctionChoice


ToolChoice = Literal["none", "auto", "required"] | NamedTool


# --- requests


class LogChanges(Body):
    """What may be said of any Log, when it is made and later."""

    output: str | None = None
    error: str | None = None
    inputs: Json | None = None
    log_status: LogStatus | None = None


class DetailedChanges(LogChanges):
    """What may also be said of a Log that is no Flow's."""

    created_at: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    provider_latency: Amount | None = None
    stdout: str | None = None
    provider_request: Json | None = None
    provider_response: Json | None = None
    source: str | None = None
    metadata: Json | None = None


class ChatChanges(LogChanges):
    """What may be said of a Log that holds a chat."""

    messages: list[ChatMessage] | None = None
    output_message: ChatMessage | None = None


class ModelFields(Body):
    """What a model call tells of itself."""

    prompt_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    output_tokens: Count | None = None
    prompt_cost: Amount | None = None
    output_cost: Amount | None = None
    finish_reason: str | None = None
    tool_choice: ToolChoice | None = None


class NewLog(DetailedChanges):
    """A new Log of any File."""

    path: str | None = None
    id: str | None = Field(None, description="of the File")
    log_id: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    trace_parent_id: str | None = None
    source_datapoint_id: str | None = None
    run_id: str | None = None
    user: str | None = None
    environment: str | None = Field(None, description="a label; chooses no Version")
    save: bool | None = True
    inputs: Json | None = Field(default_factory=dict)


class PromptLogUpdate(DetailedChanges, ChatChanges, ModelFields):
    """Changes of a Prompt's Log."""


class PromptLogRequest(NewLog, PromptLogUpdate):
    """A new Log of a Prompt."""

    prompt: PromptKernel | str | None = Field(None, description="or the text of its file")


class ToolLogUpdate(DetailedChanges):
    """Changes of a Tool's Log."""


class ToolLogRequest(NewLog):
    """A new Log of a Tool."""

    tool: ToolKernel | None = None


class FlowLogUpdate(ChatChanges):
    """Changes of a Flow's Log."""

    @model_validator(mode="before")
    @classmethod
    def _read_old_name(cls, said: Any) -> Any:
        """Take `trace_status` for `log_status`: clients of before 2025 call it so."""
        if isinstance(said, dict) and "trace_status" in said and "log_status" not in said:
            return {**said, "log_status": said["trace_status"]}
        return said


class FlowLogRequest(NewLog, FlowLogUpdate):
    """A new Log of a Flow."""

    flow: FlowKernel | None = None


class AgentLogUpdate(ChatChanges):
    """Changes of an Agent's Log."""


class AgentLogRequest(NewLog, AgentLogUpdate, ModelFields):
    """A new Log of an Agent."""

    agent: AgentKernel | str | None = Field(None, description="or the text of its file")


class EvaluatorLogRequest(NewLog):
    """A judgment of a Log."""

    parent_id: str = Field(description="the Log that is judged")
    judgment: Judgment | None = None
    output_message: ChatMessage | None = None
    marked_completed: bool | None = None
    spec: EvaluatorSpec | None = None


# --- answers


class CreatePromptLogResponse(Body):
    """Ids of what was made."""

    id: str
    prompt_id: str
    version_id: str
    session_id: str | None = None


class CreateToolLogResponse(Body):
    """Ids of what was made."""

    id: str
    tool_id: str
    version_id: str
    session_id: str | None = None


class CreateEvaluatorLogResponse(Body):
    """Ids of what was made."""

    id: str
    parent_id: str
    version_id: str
    session_id: str | None = None


class CreateFlowLogResponse(Body):
    """Ids of what was made."""

    id: str
    flow_id: str
    version_id: str
    log_status: LogStatus | None = None


class CreateAgentLogResponse(Body):
    """Ids of what was made."""

    id: str
    agent_id: str
    version_id: str
    log_status: LogStatus | None = None


class AnyLogResponse(Body):
    """What is known of every Log."""

    id: str
    evaluator_logs: list["EvaluatorLogResponse"]
    start_time: datetime | None = None
    end_time: datetime | None = None
    created_at: datetime | None = None
    inputs: Json | None = Field(default_factory=dict)
    output: str | None = None
    output_message: ChatMessage | None = None
    error: str | None = None
    provider_latency: float | None = None
    stdout: str | None = None
    provider_request: Json | None = None
    provider_response: Json | None = None
    source: str | None = None
    metadata: Json | None = None
    log_status: LogStatus | None = None
    source_datapoint_id: str | None = None
    trace_parent_id: str | None = None
    batches: list[str] | None = None
    user: str | None = None
    environment: str | None = None
    save: bool | None = True
    log_id: str | None = None
    trace_flow_id: str | None = None
    trace_id: str | None = None
    trace_children: list["LogResponse"] | None = Field(default_factory=list)


class ModelLogResponse(AnyLogResponse):
    """What is known of a Log that called a model."""

    messages: list[ChatMessage] | None = None
    prompt_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_tokens: int | None = None
    prompt_cost: float | None = None
    output_cost: float | None = None
    finish_reason: str | None = None
    tool_choice: ToolChoice | None = None


class PromptLogResponse(ModelLogResponse):
    """A Log of a Prompt."""

    prompt: PromptResponse


class ToolLogResponse(AnyLogResponse):
    """A Log of a Tool."""

    tool: ToolResponse


class EvaluatorLogResponse(AnyLogResponse):
    """A Log of an Evaluator: one judgment."""

    evaluator: EvaluatorResponse
    parent_id: str | None = None
    judgment: Judgment | None = None
    marked_completed: bool | None = None
    parent: "LogResponse | None" = None


class FlowLogResponse(AnyLogResponse):
    """A Log of a Flow."""

    flow: FlowResponse
    messages: list[ChatMessage] | None = None


class AgentLogResponse(ModelLogResponse):
    """A Log of an Agent."""

    agent: AgentResponse


LogResponse = (
    PromptLogResponse | ToolLogResponse | EvaluatorLogResponse | FlowLogResponse | AgentLogResponse
)


class PaginatedDataLogResponse(Paginated[LogResponse]):
    """One page of Logs."""


for _model in (
    PromptLogResponse,
    ToolLogResponse,
    EvaluatorLogResponse,
    FlowLogResponse,
    AgentLogResponse,
    PaginatedDataLogResponse,
):
    _model.model_rebuild()
