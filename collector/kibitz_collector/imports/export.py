"""Reads the folder that Humanloop's export tool writes, as far as it can be read.

Source: humanloop-export, June 2025: `files/<file id>/` with file.json, deployments.json,
versions/<version id>, datapoints/<version id>/N.jsonl, logs/N.jsonl, and
evaluations/<evaluation id>/ with evaluation.json, stats.json, runs/<run id>, logs/N.jsonl.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Json


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of the export that could not be taken over, and where."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def find_exported_files(root: Path) -> list[Path]:
    """Return the folder of each exported File.

    Raises: Invalid: this is no export.
    """
    for base in (root / "files", root):
        found = sorted(place.parent for place in base.glob("*/file.json"))
        if found or (base.name == "files" and base.is_dir()):
            return found
    exports = sorted(place.parent.name for place in root.glob("*/files") if place.is_dir())
    if exports:
        raise Invalid(f"{root} holds several exports; name one: {', '.join(exports)}")
    raise Invalid(f"{root} is no folder of Humanloop's export tool: no files/*/file.json")


def read_object(path: Path) -> Json:
    """Read a file that holds one JSON object.

    Raises: Invalid: it does not.
    """
    value = _read(path)
    if not isinstance(value, dict):
        raise Invalid("not a JSON object")
    return value


def read_list(path: Path) -> list[Json]:
    """Read a file that holds a JSON list of objects; one that is not there holds none.

    Raises: Invalid: it holds something else.
    """
    if not path.exists():
        return []
    value = _read(path)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Invalid("not a JSON list of objects")
    return value


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, if there is one; hidden files are none of the export."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_lines(folder: Path, *, is_reversed: bool = False) -> Iterator[tuple[str, Json | Problem]]:
    """Read the objects of a folder's JSONL files in order, each with its file and line.

    Logs are exported newest first; reversed, they come in the order in which they once arrived.
    A line that is no object is a problem, and the next one is read.
    """
    for path in sorted(folder.glob("*.jsonl"), key=_number, reverse=is_reversed):
        try:
            lines = list(enumerate(path.read_bytes().split(b"\n"), 1))
        except OSError as error:
            yield str(path), Problem(str(path), error.strerror or str(error))
            continue
        for number, line in reversed(lines) if is_reversed else lines:
            if line.strip():
                place = f"{path}:{number}"
                yield place, _object(line, place)


def _object(line: bytes, place: str) -> Json | Problem:
    try:
        value: Any = orjson.loads(line)
    except ValueError as error:
        return Problem(place, f"not JSON: {error}")
    return value if isinstance(value, dict) else Problem(place, "not a JSON object")


def _number(path: Path) -> tuple[int, str]:
    return (int(path.stem) if path.stem.isdigit() else 0, path.name)


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise Invalid(error.strerror or str(error)) from None
    except ValueError as error:
        raise Invalid(f"not JSON: {error}") from None
