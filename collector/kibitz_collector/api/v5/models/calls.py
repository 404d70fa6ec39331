"""Requests and answers of calls of Prompts, Tools and Agents.

Source: Humanloop API v5, 2025-07.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kibitz_collector.api.v5.models.files import PromptResponse, ToolResponse
from kibitz_collector.api.v5.models.kernels import AgentKernel, PromptKernel, ToolKernel
from kibitz_collector.api.v5.models.logs import (
    AgentLogResponse,
    EvaluatorLogResponse,
    Json,
    LogResponse,
    LogStatus,
    ToolLogResponse,
)
from kibitz_collector.api.v5.models.shared import ChatMessage, ToolCall, known

ToolChoice = Literal["none", "auto", "required"] | Json
AgentEvent = Annotated[
    str,
    known(
        "agent_turn_start",
        "agent_turn_suspend",
        "agent_turn_continue",
        "agent_turn_end",
        "agent_start",
        "agent_update",
        "agent_end",
        "tool_start",
        "tool_update",
        "tool_end",
        "error",
        "agent_generation_error",
    ),
]


class ProviderApiKeys(BaseModel):
    """The caller's own provider keys, by provider: used for this call, never stored."""

    model_config = ConfigDict(extra="allow")

    openai: str | None = None
    ai21: str | None = None
    mock: str | None = None
    anthropic: str | None = None
    deepseek: str | None = None
    bedrock: str | None = None
    cohere: str | None = None
    openai_azure: str | None = None
    openai_azure_endpoint: str | None = None
    google: str | None = None


class CallRequest(BaseModel):
    """What calls of all three kinds say."""

    model_config = ConfigDict(extra="ignore")

    path: str | None = None
    id: str | None = Field(None, description="of the File")
    inputs: Json | None = {}
    source: str | None = None
    metadata: Json | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    log_status: LogStatus | None = None
    source_datapoint_id: str | None = None
    trace_parent_id: str | None = None
    user: str | None = None
    environment: str | None = Field(None, description="a label; chooses no Version")
    save: bool | None = True
    log_id: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class ChatCallRequest(CallRequest):
    """What calls of Prompts and Agents say."""

    messages: list[ChatMessage] | None = None
    tool_choice: ToolChoice | None = None
    provider_api_keys: ProviderApiKeys | None = None
    return_inputs: bool | None = True
    stream: bool = False


class PromptCallRequest(ChatCallRequest):
    """A call of a Prompt."""

    prompt: PromptKernel | str | None = Field(None, description="or the text of its file")
    num_samples: Annotated[int, Field(ge=1, le=32)] | None = 1
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    suffix: str | None = None


class SampleFields(BaseModel):
    """How one sample came out."""

    output: str | None = None
    created_at: datetime | None = None
    error: str | None = None
    provider_latency: float | None = None
    stdout: str | None = None
    output_message: ChatMessage | None = None
    prompt_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_tokens: int | None = None
    prompt_cost: float | None = None
    output_cost: float | None = None
    finish_reason: str | None = None


class PromptCallLogResponse(SampleFields):
    """One sample of a call."""

    index: int


class PromptCallStreamResponse(SampleFields):
    """One event: `output` is what is new; the last of a sample has the rest."""

    index: int
    id: str
    prompt_id: str
    version_id: str


class PromptCallResponse(BaseModel):
    """A Prompt's call: what was called, and each sample."""

    start_time: datetime | None = None
    end_time: datetime | None = None
    messages: list[ChatMessage] | None = None
    tool_choice: ToolChoice | None = None
    prompt: PromptResponse
    inputs: Json | None = {}
    source: str | None = None
    metadata: Json | None = None
    log_status: LogStatus | None = None
    source_datapoint_id: str | None = None
    trace_parent_id: str | None = None
    user: str | None = None
    environment: str | None = None
    save: bool | None = True
    log_id: str | None = None
    id: str
    trace_id: str | None = None
    logs: list[PromptCallLogResponse]


class ToolCallRequest(CallRequest):
    """A call of a Tool."""

    tool: ToolKernel | None = None


class ToolCallResponse(CallRequest):
    """A Tool's call: what was called, and its Log."""

    id: str
    tool: ToolResponse
    output: str | None = None
    created_at: datetime | None = None
    error: str | None = None
    provider_latency: float | None = None
    stdout: str | None = None
    provider_request: Json | None = None
    provider_response: Json | None = None
    batches: list[str] | None = None
    evaluator_logs: list[EvaluatorLogResponse]
    trace_flow_id: str | None = None
    trace_id: str | None = None
    trace_children: list[LogResponse] | None = None


class EnvironmentVariable(BaseModel):
    """An environment variable of a Tool; sealed where it is stored."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
    value: Annotated[str, Field(max_length=100_000)]


class AgentCallRequest(ChatCallRequest):
    """A call of an Agent."""

    agent: AgentKernel | str | None = Field(None, description="or the text of its file")
    include_trace_children: bool | None = False


class AgentContinueRequest(BaseModel):
    """What lets a suspended Agent go on: the results it waits for, and more if wanted."""

    model_config = ConfigDict(extra="ignore")

    log_id: str
    messages: list[ChatMessage]
    provider_api_keys: ProviderApiKeys | None = None
    include_trace_children: bool | None = False
    stream: bool = False


class AgentCallResponse(AgentLogResponse):
    """An Agent's Log; while it is incomplete, `previous_agent_message` says which calls wait."""

    previous_agent_message: ChatMessage | None = None


class AgentLogStreamResponse(SampleFields):
    """What is new of an Agent's answer."""

    id: str
    agent_id: str
    version_id: str


class AgentCallStreamResponse(BaseModel):
    """Something that happened while an Agent ran."""

    log_id: str
    message: str
    payload: AgentLogStreamResponse | AgentLogResponse | ToolLogResponse | ToolCall | None = None
    type: AgentEvent
    created_at: datetime
