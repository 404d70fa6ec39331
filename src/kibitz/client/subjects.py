"""What `kibitz.evaluate` evaluates: a function of the app, run over datapoints as a Flow."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from kibitz import semconv as sc
from kibitz._declared import File
from kibitz._decorated import taken_apart
from kibitz._decorators import default_path
from kibitz._opening import open_span, use_span
from kibitz._runtime import Runtime
from kibitz._scope import Scope
from kibitz._spans import Span
from kibitz.client.connection import Connection
from kibitz.client.datasets import Datapoint
from kibitz.errors import ApiError, ConfigError, KibitzError
from kibitz.ids import log_id


@dataclass(slots=True)
class Execution:
    """One run of the function over one datapoint; its Log is written by `seal`."""

    datapoint: Datapoint
    span: Span
    start_ns: int
    end_ns: int
    output: Any = None
    error: BaseException | None = None

    @property
    def log_id(self) -> str:
        """The id of the Log."""
        return log_id(self.span.trace_id, self.span.span_id)

    @property
    def error_text(self) -> str | None:
        """What went wrong, in one line."""
        error = self.error
        return None if error is None else f"{type(error).__qualname__}: {error}"

    def as_log(self, path: str) -> dict[str, Any]:
        """Return what an evaluator is given, with the keys of a v5 Log."""
        return {
            "id": self.log_id,
            "path": path,
            "inputs": self.datapoint.inputs,
            "messages": self.datapoint.messages or [],
            "output": self.output,
            "error": self.error_text,
            "trace_id": f"{self.span.trace_id:032x}",
            "provider_latency": (self.end_ns - self.start_ns) / 1e9,
            "metadata": {},
            "children": [],
        }

    def seal(self, run_id: str) -> None:
        """Write the Log, as one of a run."""
        self.span.set(sc.RUN_ID, run_id)
        self.span.end(self.end_ns)


@dataclass(slots=True)
class Subject:
    """A function, and the Flow that its runs are Logs of."""

    function: Callable[..., Any]
    path: str
    content: str | None = None  # JSON text of what the Version is made of
    _takes: frozenset[str] | None = field(default=None, init=False)  # None: any name
    _takes_messages: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):  # a builtin
            return
        names = frozenset(one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY)
        self._takes_messages = "messages" in names
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            self._takes = names

    def check(self, datapoint: Datapoint) -> None:
        """Refuse a function that cannot be called with these inputs, before anything is run.

        Raises: ConfigError.
        """
        arguments = self._arguments(datapoint)
        try:
            inspect.signature(self.function).bind(**arguments)
        except TypeError as error:
            raise ConfigError(
                f"{self.path}: the function cannot be called with the inputs of the dataset "
                f"({', '.join(arguments) or 'none'}): {error}"
            ) from None
        except ValueError:  # a builtin
            return

    def version_id(self, target: Connection) -> tuple[str, str]:
        """Make sure that the Flow is there; returns the ids of File and Version.

        A Flow whose author said nothing of its content is the Version that is deployed.
        Raises: ApiError.
        """
        if self.content is None:
            try:
                known = target.post("/v5/files/retrieve-by-path", {"path": self.path}, retries=2)
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                if known["type"] != "flow":
                    raise KibitzError(
                        f"there is a File of type {known['type']} at {self.path!r}; "
                        "give evaluate() another path="
                    )
                return known["id"], known["version_id"]
        content = orjson.loads(self.content or "{}")
        body = {"path": self.path, "attributes": content.get("attributes") or {}}
        made = target.post("/v5/flows", body, retries=2)
        return made["id"], made["version_id"]

    def execute(self, runtime: Runtime, datapoint: Datapoint) -> Execution:
        """Run the function once; its own errors become the Log's.

        Raises: KibitzError: nothing of this path is recorded.
        """
        # A trace of its own, whatever the sample rate says.
        parent = Scope(runtime.new_trace_id(), 0)
        span = open_span(
            self.path,
            kind="flow",
            file=File(self.path, "flow", self.content),
            parent=parent,
            attributes={
                sc.OPERATION: sc.OP_FLOW,
                sc.WORKFLOW_NAME: self.path,
                sc.DATAPOINT_ID: datapoint.id,
            },
        )
        if span is None:
            raise KibitzError(f"capture is off for {self.path!r}: its runs leave no Logs to judge")
        span.set_inputs(self._arguments(datapoint))
        done = Execution(datapoint, span, span.start_ns, 0)
        try:
            with use_span(span):
                done.output = self._call(datapoint)
        except Exception as error:
            done.error = error
            span.fail(error)
        done.end_ns = runtime.now_ns()
        if done.error is None:
            span.set_output(done.output)
        return done

    def _arguments(self, datapoint: Datapoint) -> dict[str, Any]:
        arguments = dict(datapoint.inputs)
        if datapoint.messages is not None or self._takes_messages:
            arguments["messages"] = datapoint.messages or []
        return arguments

    def _call(self, datapoint: Datapoint) -> Any:
        result = self.function(**self._arguments(datapoint))
        if inspect.iscoroutine(result):
            return asyncio.run(_finish(result))
        if inspect.isasyncgen(result):
            return asyncio.run(_collect(result))
        return _whole(list(result)) if inspect.isgenerator(result) else result


async def _finish(coroutine: Any) -> Any:
    return await coroutine


async def _collect(generator: Any) -> Any:
    return _whole([piece async for piece in generator])


def _whole(pieces: list[Any]) -> Any:
    """Return what a generator gave as its Log shows it: texts joined."""
    return "".join(pieces) if all(isinstance(one, str) for one in pieces) else pieces


def subject_of(function: Callable[..., Any], path: str | None) -> Subject:
    """Return a function as what is evaluated: a decorated Flow as itself, any other as a new one.

    Raises: ConfigError: it cannot be called.
    """
    if not callable(function):
        raise ConfigError(f"evaluate() takes a function, not a {type(function).__name__}")
    inner, file = taken_apart(function)
    if file is not None and file.type == "flow":
        return Subject(inner, path or file.path, file.content)
    # What another decorator records stays below the Flow; its own path is taken.
    name = file.path if file is not None else default_path(function)
    beside = f"{name} (flow)" if file is not None else name
    return Subject(function, path or beside)
