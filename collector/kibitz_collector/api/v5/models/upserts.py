"""Requests that make a File or a new Version of it."""

from typing import Literal

from pydantic import Field

from kibitz_collector.api.v5.models.kernels import (
    AgentKernel,
    Datapoint,
    EvaluatorSpec,
    FlowKernel,
    PromptKernel,
    ToolKernel,
)
from kibitz_collector.api.v5.models.shared import Body, FileUpsert, JsonObject


class PromptRequest(FileUpsert, PromptKernel):
    """A Prompt's Version."""


class AgentRequest(FileUpsert, AgentKernel):
    """An Agent's Version."""


class ToolRequest(FileUpsert, ToolKernel):
    """A Tool's Version."""


class FlowRequest(FileUpsert, FlowKernel):
    """A Flow's Version."""


class EvaluatorRequest(FileUpsert):
    """An Evaluator's Version."""

    spec: EvaluatorSpec


class DatasetRequest(FileUpsert):
    """A Dataset's Version, whole or as a change of another."""

    datapoints: list[Datapoint]
    action: Literal["set", "add", "remove"] | None = "set"
    attributes: JsonObject | None = None


class DeserializePrompt(Body):
    """The text of a `.prompt` file."""

    prompt: str


class DeserializeAgent(Body):
    """The text of an `.agent` file."""

    agent: str


class EvaluatorActivation(Body):
    """An Evaluator's Version: itself, or whichever an environment uses."""

    evaluator_version_id: str | None = None
    evaluator_id: str | None = None
    environment_id: str | None = None


class MonitoringUpdate(Body):
    """Which Evaluators begin and which cease to judge a File's Logs."""

    activate: list[EvaluatorActivation] | None = Field(None, max_length=100)
    deactivate: list[EvaluatorActivation] | None = Field(None, max_length=100)
