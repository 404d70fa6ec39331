"""What bodies of several v5 groups are made of: messages, people, environments, pages."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

T = TypeVar("T")
MAX_DEPTH = 100
MAX_PAGE = 2**31


def is_deep(value: Any) -> bool:
    """Tell whether JSON is nested deeper than it can be written back."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    if is_deep(value):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_shallow)]


def known(*values: str) -> WithJsonSchema:
    """Name the usual values of a text; a client may know others that we do not."""
    return WithJsonSchema({"anyOf": [{"type": "string", "enum": [*values]}, {"type": "string"}]})


FileSortBy = Literal["created_at", "updated_at", "name"]
SortOrder = Literal["asc", "desc"]
Page = Annotated[int | None, Field(ge=1, le=MAX_PAGE)]
Size = Annotated[int | None, Field(ge=0, le=10_000)]
Role = Annotated[str, known("user", "assistant", "system", "tool", "developer")]
ImageDetail = Annotated[str, known("high", "low", "auto")]
ResponseFormatType = Annotated[str, known("json_object", "json_schema")]


class Body(BaseModel):
    """A body or a part of one; keys nobody knows are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,  # answers leave no field out
    )


class TextContent(Body):
    """A part of a message that is text."""

    type: Literal["text"]
    text: str


class ImageUrl(Body):
    """Where an image is."""

    url: str
    detail: ImageDetail | None = None


class ImageContent(Body):
    """A part of a message that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(Body):
    """What a model calls: a function by name, its arguments as JSON text."""

    name: str
    arguments: str | None = None


class ToolCall(Body):
    """One call a model asks for."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class ChatMessage(Body):
    """One message of a chat."""

    role: Role
    content: str | list[TextContent | ImageContent] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] | None = None
    thinking: list[JsonObject] | None = None


class ToolFunction(Body):
    """A function as models are told of it."""

    name: str
    description: str
    strict: bool | None = False
    parameters: JsonObject | None = None


class ResponseFormat(Body):
    """What form a model is to answer in."""

    type: ResponseFormatType
    json_schema: JsonObject | None = None


class UserResponse(Body):
    """A person."""

    id: str
    email_address: str
    full_name: str | None = None


class EnvironmentResponse(Body):
    """Where Versions are deployed."""

    id: str
    created_at: datetime
    name: str
    tag: Literal["default", "other"]


class InputResponse(Body):
    """An input that a template asks for."""

    name: str


class EvaluatorAggregate(Body):
    """The mean judgment of one Evaluator's Version on one Version."""

    value: float
    evaluator_id: str
    evaluator_version_id: str
    created_at: datetime
    updated_at: datetime


class Paginated(Body, Generic[T]):
    """One page of a list."""

    records: list[T]
    page: int
    size: int
    total: int


class Records(Body, Generic[T]):
    """A list that has no pages."""

    records: list[T]


class VersionUpdate(Body):
    """A new name or description of a Version."""

    name: str | None = None
    description: str | None = None


class FileMove(Body):
    """A new path of a File, or a part of it."""

    path: str | None = None
    name: str | None = None
    directory_id: str | None = None


class FileUpsert(Body):
    """Which File a Version belongs to, and what it is called."""

    path: str | None = None
    id: str | None = None
    version_name: str | None = None
    version_description: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    readme: str | None = None


class FileFields(Body):
    """What every File's answer has."""

    path: str
    id: str
    directory_id: str | None = None
    name: str
    description: str | None = None
    tags: list[str] | None = None
    readme: str | None = None
    version_id: str
    version_name: str | None = None
    version_description: str | None = None
    environments: list[EnvironmentResponse] = []
    created_at: datetime
    updated_at: datetime
    created_by: UserResponse | None = None
    last_used_at: datetime
