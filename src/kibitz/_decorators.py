"""The decorators `flow`, `prompt`, `tool`, `evaluator`: bare or with arguments, on any function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

import orjson

from kibitz import semconv as sc
from kibitz._calls import Declaration, wrap
from kibitz._declared import File, encode, encode_file
from kibitz._decorated import remember
from kibitz._evaluators import Evaluator, declare
from kibitz._schema import tool_schema
from kibitz._serialize import snapshot
from kibitz.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_DESCRIPTORS = (staticmethod, classmethod)


class ToolFunction(Protocol[P, R_co]):
    """A function decorated with `@kibitz.tool`."""

    json_schema: dict[str, Any]
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the tool."""

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> ToolFunction[P, R_co]: ...
    @overload
    def __get__(
        self: ToolFunction[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> ToolFunction[Q, R]: ...


@overload
def flow(function: F, /) -> F: ...
@overload
def flow(
    *, path: str | None = None, attributes: dict[str, Any] | None = None
) -> Callable[[F], F]: ...
def flow(
    function: Any = None, /, *, path: str | None = None, attributes: dict[str, Any] | None = None
) -> Any:
    """Record each call as a Log of a Flow; what is called inside nests under it.

    `attributes` say what makes a Version of it, such as {"strategy": "rerank"}.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        name = path or default_path(function)
        content = snapshot({"attributes": attributes}).text if attributes else None
        extra = encode([(sc.OPERATION, sc.OP_FLOW), (sc.WORKFLOW_NAME, name)])
        return _declared(function, File(name, "flow", content), extra)

    return _apply(decorate, function, "flow")


@overload
def tool(function: Callable[P, R], /) -> ToolFunction[P, R]: ...
@overload
def tool(
    *, path: str | None = None, name: str | None = None
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]: ...
def tool(function: Any = None, /, *, path: str | None = None, name: str | None = None) -> Any:
    """Record each call as a Log of a Tool; `.json_schema` describes it to a model provider.

    Shape: .json_schema = {"name": str, "description": str, "parameters": JSON schema of an object}
    """

    def decorate(function: Callable[..., Any]) -> Any:
        schema = tool_schema(function, name)
        content = orjson.dumps({"function": schema}).decode()
        extra = encode([(sc.OPERATION, sc.OP_TOOL), (sc.TOOL_NAME, schema["name"])])
        made: Any = _declared(
            function, File(path or default_path(function), "tool", content), extra
        )
        made.json_schema = schema
        return made

    return _apply(decorate, function, "tool")


@overload
def prompt(function: F, /) -> F: ...
@overload
def prompt(
    *,
    path: str | None = None,
    template: str | Sequence[dict[str, Any]] | None = None,
    model: str | None = None,
    **parameters: Any,
) -> Callable[[F], F]: ...
def prompt(
    function: Any = None,
    /,
    *,
    path: str | None = None,
    template: str | Sequence[dict[str, Any]] | None = None,
    model: str | None = None,
    **parameters: Any,
) -> Any:
    """Make the model calls inside the function Logs of a Prompt; without any, the call itself is.

    Template, model and parameters (temperature, tools, …) make its Version; no model gets them.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        name = path or default_path(function)
        told = {"template": template, "model": model, **parameters}
        content = snapshot({key: value for key, value in told.items() if value is not None}).text
        extra = encode([(sc.PROMPT_NAME, name)])
        return _declared(function, File(name, "prompt", content), extra)

    return _apply(decorate, function, "prompt")


@overload
def evaluator(function: F, /) -> F: ...
@overload
def evaluator(
    *,
    path: str | None = None,
    return_type: str = "boolean",
    options: Sequence[str] | None = None,
    where: str = "collector",
    on: str | None = None,
    sample_rate: float = 1.0,
) -> Callable[[F], F]: ...
def evaluator(
    function: Any = None,
    /,
    *,
    path: str | None = None,
    return_type: str = "boolean",
    options: Sequence[str] | None = None,
    where: str = "collector",
    on: str | None = None,
    sample_rate: float = 1.0,
) -> Any:
    """Register a function of one Log as an Evaluator; called directly it is a guardrail, or a test.

    `on` (a File's path, or a filter) has the collector judge each new Log that fits, `sample_rate`
    of them. Its source goes to the collector and must stand alone; with `where="app"` it stays and
    runs here, on a thread of its own (`on` is then a path, `*` allowed).
    Raises: ConfigError: an argument is wrong, or the source needs names it does not have.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        name = path or default_path(function)
        made: Evaluator = declare(
            function,
            name,
            return_type=return_type,
            options=options,
            where=where,
            on=on,
            sample_rate=sample_rate,
        )
        return _declared(function, File(name, "evaluator", made.version()), b"")

    return _apply(decorate, function, "evaluator")


# --- what all have in common


def _apply(decorate: Callable[[Callable[..., Any]], Any], function: Any, name: str) -> Any:
    """Serve both forms, and take static and class methods apart and together again."""

    def decorate_any(given: Any) -> Any:
        if isinstance(given, _DESCRIPTORS):
            return type(given)(decorate(given.__func__))
        if not callable(given):
            raise ConfigError(f"@kibitz.{name} goes on a function, not on {type(given).__name__!r}")
        return decorate(given)

    return decorate_any if function is None else decorate_any(function)


def _declared(function: Callable[..., Any], file: File, extra: bytes) -> Callable[..., Any]:
    static = encode_file(file) + (b"," + extra if extra else b"")
    made = wrap(function, Declaration(function, file, static))
    remember(made, function, file)
    return made


def default_path(function: Callable[..., Any]) -> str:
    """The path of a File that was given none: the function's name, with its class."""
    while isinstance(function, functools.partial):
        function = function.func
    name = cast("str", getattr(function, "__qualname__", type(function).__qualname__))
    return name.rpartition("<locals>.")[2].replace(".", "/").replace("<lambda>", "lambda")
