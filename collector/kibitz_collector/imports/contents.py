"""From the v5 API's answers about Files to what the store takes over: pure."""

from datetime import UTC, datetime
from typing import Any, cast, get_args

from pydantic import ValidationError

from kibitz_collector.api.v5.contract import to_ns
from kibitz_collector.api.v5.file_answers import datapoint_content
from kibitz_collector.api.v5.models.kernels import (
    AgentKernel,
    EvaluatorSpec,
    FlowKernel,
    PromptKernel,
    ToolKernel,
    content_of,
)
from kibitz_collector.api.v5.models.shared import Body
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import canonical_datapoint
from kibitz_collector.normalize import clean_path
from kibitz_collector.records import FileKind, Json
from kibitz_collector.store.writes.imports import ImportedFile, ImportedVersion, dataset_content

_KERNELS: dict[str, type[Body]] = {
    "prompt": PromptKernel,
    "agent": AgentKernel,
    "tool": ToolKernel,
    "flow": FlowKernel,
}


def file_of(answer: Json) -> ImportedFile:
    """Read a File.

    Raises: Invalid: it lacks what every File has.
    """
    path = clean_path(text(answer, "path"))
    if path is None:
        raise Invalid(f"{answer['path']!r} is no path")
    tags = answer.get("tags")
    return ImportedFile(
        id=text(answer, "id"),
        kind=kind_of(answer),
        path=path,
        description=_optional(answer, "description"),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else (),
        readme=_optional(answer, "readme"),
        created_ns=time_of(answer, "created_at"),
        updated_ns=time_of(answer, "updated_at", "created_at"),
    )


def version_of(answer: Json, datapoints: list[Json] | None = None) -> ImportedVersion:
    """Read a File's Version, a Dataset's with the datapoints it has.

    Raises: Invalid: it lacks what every Version has.
    """
    kind = kind_of(answer)
    members = [(text(one, "id"), _datapoint(one)) for one in datapoints or ()]
    status = answer.get("status")
    return ImportedVersion(
        id=text(answer, "version_id"),
        file_id=text(answer, "id"),
        kind=kind,
        content=content_from(kind, answer, [one for one, _ in members]),
        name=_optional(answer, "version_name"),
        description=_optional(answer, "version_description"),
        created_by=made_by(answer),
        created_ns=time_of(answer, "created_at"),
        status=status if status in ("uncommitted", "committed", "deleted") else "committed",
        datapoints=members,
    )


def content_from(kind: FileKind, answer: Json, datapoint_ids: list[str]) -> Json:
    """Return what a Version is made of.

    Raises: Invalid: it is not made of what its kind is.
    """
    if kind == "dataset":
        attributes = answer.get("attributes")
        return dataset_content(datapoint_ids) | ({"attributes": attributes} if attributes else {})
    said: Any = answer
    kernel: type[Body] = EvaluatorSpec
    if kind == "evaluator":
        said = answer.get("spec")
    else:
        kernel = _KERNELS[kind]
        said = dict(answer)
    if kind == "prompt":
        linked = answer.get("linked_tools") or []
        said["linked_tools"] = [one["id"] if isinstance(one, dict) else one for one in linked]
    if kind == "flow" and said.get("attributes") is None:
        said["attributes"] = {}
    return content_of(_checked(kernel, said), kernel)


def kind_of(answer: Json) -> FileKind:
    """Return the type of a File.

    Raises: Invalid.
    """
    kind = answer.get("type")
    if kind not in get_args(FileKind):
        raise Invalid(f"type {kind!r} is none of a File's")
    return cast(FileKind, kind)


def text(answer: Json, name: str) -> str:
    """Return a text that must be there.

    Raises: Invalid.
    """
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"{name} is missing")
    return value


def time_of(answer: Json, *names: str) -> int:
    """Return the first of these times that is there, in nanoseconds; 0: none is."""
    for name in names:
        value = answer.get(name)
        if isinstance(value, str):
            try:
                when = datetime.fromisoformat(value)
            except ValueError:
                continue
            return to_ns(when if when.tzinfo else when.replace(tzinfo=UTC)) or 0
    return 0


def made_by(answer: Json) -> str | None:
    """Return who made something: the e-mail address, else the id."""
    user = answer.get("created_by")
    if isinstance(user, dict):
        return user.get("email_address") or user.get("id")
    return user if isinstance(user, str) else None


def _optional(answer: Json, name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) else None


def _datapoint(answer: Json) -> str:
    return canonical_datapoint(datapoint_content(answer))


def _checked(kernel: type[Body], said: Any) -> Body:
    try:
        return kernel.model_validate(said)
    except ValidationError as error:
        raise Invalid(problems(error)) from None


def problems(error: ValidationError) -> str:
    """Say in one line what is wrong."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:3]
    )
