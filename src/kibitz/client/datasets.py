"""The datapoints that `kibitz.evaluate` runs over: of a Dataset, of a file, or of the program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kibitz.client.connection import Connection
from kibitz.errors import ConfigError, KibitzError

_PAGE_SIZE = 1_000
_PARTS = frozenset(("inputs", "messages", "target"))

Given = str | os.PathLike[str] | Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Datapoint:
    """One test case."""

    id: str
    inputs: dict[str, Any]
    messages: list[dict[str, Any]] | None
    target: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A Dataset's Version with its datapoints."""

    path: str
    version_id: str
    datapoints: list[Datapoint]


def open_dataset(source: Connection, given: Given, path: str) -> Dataset:
    """Return the Dataset at a path of the collector, or make one of what is given, at `path`.

    A `pathlib.Path` is a file of JSON lines. A mapping with other keys than inputs, messages and
    target is the inputs themselves.
    Raises: ApiError. ConfigError: what is given is no dataset. KibitzError: it has no datapoints.
    """
    if isinstance(given, str):
        answer = source.post("/v5/files/retrieve-by-path", {"path": given}, retries=2)
        if answer["type"] != "dataset":
            raise KibitzError(f"{given!r} is a File of type {answer['type']}, not a dataset")
        kept: list[dict[str, Any] | None] = []
    else:
        rows = _read_lines(Path(given)) if isinstance(given, os.PathLike) else given
        kept = [_datapoint(number, row) for number, row in enumerate(rows)]
        body = {"path": path, "action": "set", "datapoints": kept}
        answer = source.post("/v5/datasets", body, retries=2, timeout_s=120)
    datapoints = _all_datapoints(source, answer["id"], answer["version_id"])
    if not datapoints:
        raise KibitzError(f"dataset {answer['path']!r} has no datapoints")
    return Dataset(answer["path"], answer["version_id"], datapoints)


def _read_lines(path: Path) -> list[Any]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"dataset={str(path)!r}: {error.strerror}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(orjson.loads(line))
            except ValueError as error:
                raise ConfigError(f"{path}, line {number}: {error}") from None
    return rows


def _datapoint(number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise ConfigError(f"dataset[{number}] must be a mapping, not a {type(row).__name__}")
    point = dict(row) if row and set(row) <= _PARTS else {"inputs": dict(row)}
    if not isinstance(point.get("target"), (Mapping, type(None))):
        point["target"] = {"value": point["target"]}  # the contract's targets are objects
    try:
        orjson.dumps(point)
    except TypeError as error:
        raise ConfigError(f"dataset[{number}] is no JSON: {error}") from None
    return point


def _all_datapoints(source: Connection, dataset_id: str, version_id: str) -> list[Datapoint]:
    found: list[Datapoint] = []
    page = 1
    while True:
        query = {"version_id": version_id, "page": page, "size": _PAGE_SIZE}
        records = source.get(f"/v5/datasets/{dataset_id}/datapoints", query)["records"]
        if not records:
            return found
        found += [
            Datapoint(
                one["id"], one.get("inputs") or {}, one.get("messages") or None, one.get("target")
            )
            for one in records
        ]
        page += 1
