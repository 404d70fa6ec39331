"""Requests and answers about evaluations and their runs."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kibitz_collector.api.v5.models.files import (
    AgentResponse,
    DatapointResponse,
    DatasetResponse,
    EvaluatorResponse,
    FlowResponse,
    PromptResponse,
    ToolResponse,
)
from kibitz_collector.api.v5.models.logs import LogResponse
from kibitz_collector.api.v5.models.shared import Body, Paginated, UserResponse

Status = Literal["pending", "running", "completed", "cancelled"]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
LogIds = Annotated[list[str], Field(max_length=10_000)]


# --- requests


class VersionId(Body):
    """A Version by its id."""

    version_id: str


class FileId(Body):
    """A File by its id: at the Version that an environment uses, else at the default one."""

    id: str
    environment: str | None = None


class FilePath(Body):
    """A File by its path: at the Version that an environment uses, else at the default one."""

    path: str
    environment: str | None = None


class EvaluatorVersionId(VersionId):
    """An Evaluator by the id of a Version."""

    orchestrated: bool | None = Field(None, description="judged here, if that is possible")


class EvaluatorFileId(FileId):
    """An Evaluator by its id."""

    orchestrated: bool | None = None


class EvaluatorFilePath(FilePath):
    """An Evaluator by its path."""

    orchestrated: bool | None = None


Reference = VersionId | FileId | FilePath
EvaluatorReference = EvaluatorVersionId | EvaluatorFileId | EvaluatorFilePath
EvaluatorReferences = Annotated[list[EvaluatorReference], Field(max_length=100)]


class FileChoice(Body):
    """A File by id or path."""

    id: str | None = None
    path: str | None = None


class EvaluationRequest(Body):
    """A new evaluation."""

    file: FileChoice | None = None
    name: Name | None = Field(None, description="one of a kind among those of the File")
    evaluators: EvaluatorReferences


class EvaluatorsRequest(Body):
    """More Evaluators of an evaluation."""

    evaluators: EvaluatorReferences


class RunRequest(Body):
    """A new run."""

    dataset: Reference | None = None
    version: Reference | None = None
    orchestrated: bool | None = Field(default=None, description="Logs are generated here")
    use_existing_logs: bool | None = False


class RunUpdate(Body):
    """A change of a run."""

    control: bool | None = Field(default=None, description="the other runs are compared with it")
    status: Status | None = None


class LogsRequest(Body):
    """Stored Logs that become a run's."""

    log_ids: LogIds


# --- answers


class EvaluationEvaluatorResponse(Body):
    """An Evaluator of an evaluation."""

    version: EvaluatorResponse
    orchestrated: bool
    added_at: datetime


class EvaluationResponse(Body):
    """An evaluation."""

    id: str
    runs_count: int
    evaluators: list[EvaluationEvaluatorResponse]
    name: str | None = None
    file_id: str | None = None
    created_at: datetime
    created_by: UserResponse | None = None
    updated_at: datetime
    url: str | None = None


RunVersion = Annotated[
    PromptResponse | ToolResponse | EvaluatorResponse | FlowResponse | AgentResponse,
    Field(discriminator="type"),
]


class EvaluationRunResponse(Body):
    """A run in an evaluation."""

    id: str
    dataset: DatasetResponse | None = None
    version: RunVersion | None = None
    orchestrated: bool
    added_at: datetime
    created_at: datetime
    created_by: UserResponse | None = None
    status: Status
    control: bool


class EvaluationRunsResponse(Body):
    """All runs of an evaluation, the newest first."""

    runs: list[EvaluationRunResponse]


class EvaluatorStats(Body):
    """How one Evaluator judged one run."""

    evaluator_version_id: str
    total_logs: int = Field(description="judgments of any kind, abstentions and errors too")
    num_judgments: int
    num_nulls: int
    num_errors: int


class NumericEvaluatorStatsResponse(EvaluatorStats):
    """Judgments that are numbers."""

    mean: float | None = None
    sum: float | None = None
    std: float | None = None
    percentiles: dict[str, float]


class BooleanEvaluatorStatsResponse(EvaluatorStats):
    """Judgments that are true or false."""

    num_true: int
    num_false: int


class SelectEvaluatorStatsResponse(EvaluatorStats):
    """Judgments that are one or more of some options."""

    num_judgments_per_option: dict[str, int]


class TextEvaluatorStatsResponse(EvaluatorStats):
    """Judgments that are texts."""


AnyStats = (
    NumericEvaluatorStatsResponse
    | BooleanEvaluatorStatsResponse
    | SelectEvaluatorStatsResponse
    | TextEvaluatorStatsResponse
)


class RunStatsResponse(Body):
    """How one run came out so far."""

    run_id: str
    version_id: str | None = None
    batch_id: str | None = None
    num_logs: int
    evaluator_stats: list[AnyStats]
    status: Status


class EvaluationStats(Body):
    """How all runs came out so far, the newest first; two texts for a terminal."""

    run_stats: list[RunStatsResponse]
    progress: str | None = None
    report: str | None = None
    status: Status


class EvaluationLogResponse(Body):
    """A Log of a run, what it was made from, and how it was judged."""

    run_id: str
    datapoint: DatapointResponse | None = None
    log: LogResponse
    evaluator_logs: list[LogResponse]


PaginatedEvaluationResponse = Paginated[EvaluationResponse]
PaginatedDataEvaluationLogResponse = Paginated[EvaluationLogResponse]
