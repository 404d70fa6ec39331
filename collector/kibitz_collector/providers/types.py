"""What every provider takes and gives: one request, deltas, one reply, one kind of error."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kibitz_collector.addresses import Reach
from kibitz_collector.records import Json, Message, Tokens

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "timeout_error",
    "connection_error",
    "server_error",
    "configuration_error",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a provider is reached, with which key, and how long it may be silent."""

    provider: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None  # None: the provider's own
    timeout_s: float = 120.0
    reach: Reach = field(default_factory=lambda: Reach(private=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call of one model. None: not said, the provider's default.

    `messages` are as Logs hold them, tool calls flat; `prompt` is for endpoint `complete`.
    """

    model: str
    endpoint: str = "chat"
    messages: list[Message] = field(default_factory=list)
    prompt: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_format: Json | None = None
    reasoning_effort: str | int | None = None
    tools: list[Json] = field(default_factory=list)  # {name, description, parameters?, strict?}
    tool_choice: str | Json | None = None  # none, auto, required, {type, function: {name}}
    logprobs: int | None = None
    suffix: str | None = None
    other: Json = field(default_factory=dict)  # put into the provider's body as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The whole answer of a model.

    `request` and `response` are the provider's own bodies, without keys.
    """

    message: Message
    text: str | None
    finish_reason: str | None
    tokens: Tokens | None
    model_served: str | None
    response_id: str | None
    request: Json
    response: Json


class ProviderError(Exception):
    """A call failed.

    `origin`: the provider's name, or `kibitz` when the request was never sent. `request` is what
    was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        type: ErrorType,
        code: int,
        origin: str,
        request: Json | None = None,
        response: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.code = code
        self.origin = origin
        self.request = request
        self.response = response


class Provider(Protocol):
    """One provider's file."""

    def call(self, request: ModelRequest, connection: Connection) -> Reply:
        """Ask and wait.

        Raises: ProviderError.
        """
        ...

    def stream(self, request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
        """Ask; yields deltas as they come, and the whole reply last.

        Raises: ProviderError, also between deltas.
        """
        ...


_TYPES: dict[int, ErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}


def error_type(status: int) -> ErrorType:
    """Name the error a provider's HTTP status stands for."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def without_none(**values: Any) -> Json:
    """Return what was said."""
    return {name: value for name, value in values.items() if value is not None}
