"""Who judges in `kibitz.evaluate`: functions of the app, and Evaluators of the collector."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import orjson

from kibitz._decorated import taken_apart
from kibitz._decorators import default_path
from kibitz.client.connection import Connection
from kibitz.errors import ConfigError, KibitzError

_TYPES = {bool: "boolean", int: "number", float: "number", str: "text", list: "multi_select"}
_NAMES = {"bool": "boolean", "int": "number", "float": "number", "str": "text"}


@dataclass(frozen=True, slots=True)
class Judgment:
    """What one Evaluator said of one Log."""

    value: Any
    error: str | None = None


@dataclass(slots=True)
class Judge:
    """One Evaluator; without a function the collector judges."""

    path: str
    function: Callable[..., Any] | None = None
    spec: dict[str, Any] | None = None  # of a decorated one
    return_type: str | None = None
    wants_target: bool = False
    id: str = ""
    version_id: str = ""

    def judge(self, log: dict[str, Any], target: dict[str, Any] | None) -> Judgment:
        """Run the function; what it raises is its judgment's error."""
        assert self.function is not None
        try:
            said = self.function(log, target) if self.wants_target else self.function(log)
            if inspect.iscoroutine(said):
                said.close()
                raise TypeError("an evaluator in evaluate() must be a plain function")
        except Exception as error:
            return Judgment(None, f"{type(error).__qualname__}: {error}")
        if self.return_type == "number" and isinstance(said, bool):
            said = float(said)
        return Judgment(list(said) if isinstance(said, (tuple, set)) else said)

    def settle_type(self, seen: Any) -> None:
        """Decide what it returns, if nobody has said: by what it has returned."""
        if self.return_type is None:
            self.return_type = _TYPES.get(type(seen), "boolean")

    def register(self, target: Connection) -> None:
        """Make sure that the Evaluator is there, and learn its ids.

        Raises: ApiError. KibitzError: there is something else at its path.
        """
        if self.function is None:
            answer = target.post("/v5/files/retrieve-by-path", {"path": self.path}, retries=2)
            if answer["type"] != "evaluator":
                raise KibitzError(f"{self.path!r} is a File of type {answer['type']}")
            self.return_type = answer["spec"]["return_type"]
        else:
            body = {"path": self.path, "spec": self._spec()}
            answer = target.post("/v5/evaluators", body, retries=2)
        self.id, self.version_id = answer["id"], answer["version_id"]

    def reference(self) -> dict[str, Any]:
        """Return how an evaluation is told of it."""
        if self.function is None:
            return {"version_id": self.version_id}
        return {"version_id": self.version_id, "orchestrated": False}

    def _spec(self) -> dict[str, Any]:
        arguments = "target_required" if self.wants_target else "target_free"
        if self.spec is not None:
            return {**self.spec, "arguments_type": arguments}
        spec: dict[str, Any] = {
            "evaluator_type": "external",
            "arguments_type": arguments,
            "return_type": self.return_type,
        }
        try:
            source = inspect.getsource(inspect.unwrap(self.function or len))
            spec["attributes"] = {"code": textwrap.dedent(source)}
        except (OSError, TypeError):  # typed in, or a builtin
            pass
        return spec


def judges_of(given: Iterable[str | Callable[..., Any]]) -> list[Judge]:
    """Read the `evaluators=` of a call.

    Raises: ConfigError: one is neither a path nor a function, or two have one path.
    """
    judges = [_judge_of(one) for one in given]
    paths = [judge.path for judge in judges]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"evaluators= has two at {path!r}; name functions differently")
    return judges


def _judge_of(given: Any) -> Judge:
    if isinstance(given, str):
        return Judge(given)
    if not callable(given):
        raise ConfigError(f"evaluators= takes paths and functions, not {given!r}")
    function, file = taken_apart(given)
    wants_target = _positional(function) > 1
    if file is None or file.type != "evaluator":
        return_type = _annotated(function)
        return Judge(default_path(function), given, None, return_type, wants_target)
    spec = orjson.loads(file.content or "{}")
    if spec.get("code"):
        spec["evaluator_type"] = "python"
    else:  # it runs in the app only
        spec["evaluator_type"] = "external"
    spec["options"] = [{"name": name} for name in spec.get("options") or ()] or None
    kept = {key: value for key, value in spec.items() if value is not None}
    return Judge(file.path, function, kept, spec["return_type"], wants_target)


def _positional(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds and one.default is one.empty for one in parameters)


def _annotated(function: Callable[..., Any]) -> str | None:
    try:
        said = inspect.signature(function).return_annotation
    except (TypeError, ValueError):
        return None
    if isinstance(said, str):
        return _NAMES.get(said.removesuffix(" | None"))
    choices = [one for one in get_args(said) if one is not type(None)]
    if get_origin(said) is not list and len(choices) == 1:
        said = choices[0]
    return _TYPES.get(get_origin(said) or said)
