"""What Versions are made of, as v5 requests say it and answers repeat it."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kibitz_collector.api.v5.models.shared import (
    Body,
    ChatMessage,
    JsonObject,
    ResponseFormat,
    ToolFunction,
    known,
)

Endpoint = Annotated[str, known("chat", "complete", "edit")]
TemplateLanguage = Annotated[str, known("default", "jinja")]
Provider = Annotated[
    str,
    known(
        "anthropic",
        "bedrock",
        "cohere",
        "deepseek",
        "google",
        "groq",
        "mock",
        "openai",
        "openai_azure",
        "replicate",
    ),
]
ReasoningEffort = Annotated[str, known("high", "medium", "low")]
OnAgentCall = Annotated[str, known("stop", "continue")]
ToolType = Annotated[
    str,
    known("pinecone_search", "google", "mock", "snippet", "json_schema", "get_api_call", "python"),
]
ArgumentsType = Annotated[str, known("target_free", "target_required")]
Valence = Annotated[str, known("positive", "negative", "neutral")]
Template = str | list[ChatMessage]


class ModelSettings(Body):
    """Which model, and how it is asked."""

    model: str
    endpoint: Endpoint | None = "chat"
    template: Template | None = None
    template_language: TemplateLanguage | None = None
    provider: Provider | None = None
    max_tokens: int | None = -1
    temperature: float | None = 1
    top_p: float | None = 1
    stop: str | list[str] | None = None
    presence_penalty: float | None = 0
    frequency_penalty: float | None = 0
    other: JsonObject | None = Field(default_factory=dict)
    seed: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: int | ReasoningEffort | None = None
    attributes: JsonObject | None = None


class PromptKernel(ModelSettings):
    """What a Prompt's Version is made of."""

    tools: list[ToolFunction] | None = None
    linked_tools: list[str] | None = None


class LinkedFile(Body):
    """A File by id, and which Version of it."""

    file_id: str
    environment_id: str | None = None
    version_id: str | None = None


class AgentLinkedFile(Body):
    """A File that an Agent may call."""

    type: Literal["file"]
    link: LinkedFile
    on_agent_call: OnAgentCall | None = None


class InlineTool(Body):
    """A function that an Agent may call and the caller answers."""

    type: Literal["inline"]
    json_schema: ToolFunction
    on_agent_call: OnAgentCall | None = None


class AgentKernel(ModelSettings):
    """What an Agent's Version is made of."""

    tools: list[AgentLinkedFile | InlineTool] | None = None
    max_iterations: int | None = None


class ToolKernel(Body):
    """What a Tool's Version is made of."""

    function: ToolFunction | None = None
    source_code: str | None = None
    setup_values: JsonObject | None = None
    attributes: JsonObject | None = None
    tool_type: ToolType | None = None


class FlowKernel(Body):
    """What a Flow's Version is made of."""

    attributes: JsonObject


class JudgmentOption(Body):
    """One choice of an Evaluator."""

    name: str
    valence: Valence | None = None


class NumberLimit(Body):
    """Between which numbers an Evaluator judges."""

    min: float | None = None
    max: float | None = None
    step: float | None = None


class EvaluatorSpec(Body):
    """What an Evaluator's Version is made of."""

    arguments_type: ArgumentsType = "target_free"
    return_type: Literal["boolean", "number", "select", "multi_select", "text"]
    evaluator_type: Literal["llm", "python", "human", "external"]
    attributes: JsonObject | None = None
    options: list[JudgmentOption] | None = None
    number_limits: NumberLimit | None = None
    number_valence: Valence | None = None
    code: str | None = None
    prompt: PromptKernel | None = None
    instructions: str | None = None

    @model_validator(mode="after")
    def _has_code(self) -> "EvaluatorSpec":
        if self.evaluator_type == "python" and self.code is None:
            raise ValueError("an evaluator of type python needs its code")
        return self


class Datapoint(Body):
    """One test case."""

    inputs: JsonObject | None = Field(default_factory=dict)
    messages: list[ChatMessage] | None = None
    target: JsonObject | None = None


def content_of(said: Body, kernel: type[Body]) -> dict[str, Any]:
    """Return what a client said of a kernel as a Version's content; nulls say nothing."""
    fields = set(kernel.model_fields)
    return said.model_dump(mode="json", include=fields, exclude_unset=True, exclude_none=True)
