"""`.prompt` and `.agent` files: the Files of a collector as texts in a folder, both ways."""

from __future__ import annotations

import contextlib
import difflib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from kibitz.client.connection import Connection
from kibitz.errors import ApiError, KibitzError

KINDS = ("prompt", "agent")
SUFFIXES = tuple(f".{kind}" for kind in KINDS)
_PAGE_SIZE = 100

Change = Literal["new", "changed", "deployed", "same", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; in a dry run: what would."""

    name: str  # below the folder, with its suffix
    change: Change
    remark: str = ""
    diff: str = ""


def pull(
    source: Connection,
    folder: Path,
    path: str | None = None,
    *,
    environment: str | None = None,
    is_dry_run: bool = False,
) -> Iterator[Outcome]:
    """Write the collector's Prompts and Agents below a path into a folder; others stay.

    Raises: ApiError: the path or the environment does not exist, or no collector is there.
    """
    for answer in _remote_files(source, path, environment):
        name = f"{answer['path']}.{answer['type']}"
        try:
            yield _pull_one(folder, name, answer, is_dry_run)
        except (OSError, KibitzError) as error:
            yield Outcome(name, "failed", str(error))


def push(
    target: Connection,
    folder: Path,
    path: str | None = None,
    *,
    environment: str | None = None,
    is_dry_run: bool = False,
) -> Iterator[Outcome]:
    """Make Versions of a folder's files; with an environment, deploy them there too.

    Raises: KibitzError: there are no such files. ApiError: no collector is there.
    """
    for file in _local_files(folder, path):
        name = file.relative_to(folder).as_posix()
        try:
            yield _push_one(target, file, PurePosixPath(name), environment, is_dry_run)
        except ApiError as error:
            if error.status is None or error.status in (401, 403):
                raise
            yield Outcome(name, "failed", str(error))
        except (OSError, KibitzError) as error:
            yield Outcome(name, "failed", str(error))
        except UnicodeDecodeError:
            yield Outcome(name, "failed", "the file is not UTF-8 text")


# --- the collector's side


def _remote_files(
    source: Connection, path: str | None, environment: str | None
) -> Iterator[dict[str, Any]]:
    """Return all Files, each with its text."""
    stem, suffix = os.path.splitext(path or "")
    if suffix in SUFFIXES:
        yield _retrieve(source, stem, environment)
        return
    query = {
        "type": list(KINDS),
        "size": _PAGE_SIZE,
        "path": path,
        "environment": environment,
        "include_raw_file_content": True,
    }
    page = 1
    while True:
        try:
            records = source.get("/v5/files", {**query, "page": page})["records"]
        except ApiError as error:
            if error.status != 404 or not path or "Directory" not in str(error):
                raise
            yield _retrieve(source, path, environment)  # a File, named without its suffix
            return
        yield from records
        if not records:
            return
        page += 1


def _retrieve(source: Connection, path: str, environment: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = source.post(
        "/v5/files/retrieve-by-path",
        {"path": path},
        query={"environment": environment, "include_raw_file_content": True},
        retries=2,
    )
    if answer["type"] not in KINDS:
        raise KibitzError(f"{path!r} is a File of type {answer['type']}, which has no text")
    return answer


def _find(source: Connection, path: str, environment: str | None) -> dict[str, Any] | None:
    try:
        return _retrieve(source, path, environment)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


# --- pulling


def _pull_one(folder: Path, name: str, answer: dict[str, Any], is_dry_run: bool) -> Outcome:
    text = answer.get("raw_file_content")
    if not text:
        raise KibitzError("the collector has no text of it")
    place = _place(folder, name)
    before = place.read_bytes() if place.is_file() else None
    data = text.encode()
    if before == data:
        return Outcome(name, "same", answer["version_id"])
    if not is_dry_run:
        _replace(place, data)
    diff = _diff(name, (before or b"").decode("utf-8", "replace"), text)
    return Outcome(name, "new" if before is None else "changed", answer["version_id"], diff)


def _place(folder: Path, name: str) -> Path:
    """Return where a File's text goes: below the folder, whatever its path says."""
    parts = PurePosixPath(name).parts
    is_sound = parts and ".." not in parts and not any("\\" in p or "\0" in p for p in parts)
    if not is_sound or PurePosixPath(name).is_absolute():
        raise KibitzError("its path would leave the folder")
    place = folder.joinpath(*parts)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise KibitzError("a symbolic link on its path leaves the folder")
    return place


def _replace(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(data)
        draft.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


# --- pushing


def _local_files(folder: Path, path: str | None) -> list[Path]:
    root = folder / path if path else folder
    if root.is_file() and root.suffix in SUFFIXES:
        return [root]
    named = [root.with_name(root.name + suffix) for suffix in SUFFIXES] if path else []
    found = [one for one in named if one.is_file()]
    if root.is_dir():
        found += [
            one
            for one in root.rglob("*")
            if one.suffix in SUFFIXES
            and one.is_file()
            and not any(part.startswith(".") for part in one.relative_to(folder).parts)
        ]
    if not found:
        raise KibitzError(f"no {' or '.join(SUFFIXES)} file at {root}")
    return sorted(found)


def _push_one(
    target: Connection, file: Path, name: PurePosixPath, environment: str | None, is_dry_run: bool
) -> Outcome:
    kind, path = file.suffix[1:], str(name.with_suffix(""))
    text = file.read_bytes().decode()
    kernel = target.post(f"/v5/{kind}s/deserialize", {kind: text}, retries=2)
    before = _find(target, path, environment) or _find(target, path, None)
    if before is not None and before["type"] != kind:
        raise KibitzError(f"there is a File of type {before['type']} at {path!r}")
    diff = _diff(str(name), (before or {}).get("raw_file_content") or "", text)
    if is_dry_run:
        return _foresee(target, name, kind, kernel, before, diff)
    known = _version_ids(target, kind, before)
    made = target.post(f"/v5/{kind}s", {**kernel, "path": path}, retries=2)
    version = made["version_id"]
    is_deployed = environment is not None and _deploy(target, kind, made, environment)
    if before is None:
        return Outcome(str(name), "new", version, diff)
    if version not in known:
        return Outcome(str(name), "changed", _where_used(version, environment), diff)
    if is_deployed:
        return Outcome(str(name), "deployed", f"{version} to {environment}", diff)
    if version != before["version_id"]:
        return Outcome(str(name), "same", f"{version}, known but not deployed", diff)
    return Outcome(str(name), "same", version)


def _foresee(
    target: Connection,
    name: PurePosixPath,
    kind: str,
    kernel: Any,
    before: dict[str, Any] | None,
    diff: str,
) -> Outcome:
    if before is None:
        return Outcome(str(name), "new", "", diff)
    text = before.get("raw_file_content") or ""
    if target.post(f"/v5/{kind}s/deserialize", {kind: text}, retries=2) == kernel:
        return Outcome(str(name), "same", before["version_id"])
    return Outcome(str(name), "changed", f"differs from {before['version_id']}", diff)


def _version_ids(target: Connection, kind: str, before: dict[str, Any] | None) -> set[str]:
    if before is None:
        return set()
    records = target.get(f"/v5/{kind}s/{before['id']}/versions")["records"]
    return {record["version_id"] for record in records}


def _where_used(version: str, environment: str | None) -> str:
    return f"{version}, deployed to {environment}" if environment else f"{version}, not deployed"


def _deploy(target: Connection, kind: str, made: dict[str, Any], environment: str) -> bool:
    """Let an environment use a Version; False if it does already.

    Raises: KibitzError: there is no such environment.
    """
    environments = target.get(f"/v5/{kind}s/{made['id']}/environments")
    for one in environments:
        if environment in (one["name"], one["id"]):
            if (one.get("file") or {}).get("version_id") == made["version_id"]:
                return False
            path = f"/v5/{kind}s/{made['id']}/environments/{one['id']}"
            target.post(path, None, query={"version_id": made["version_id"]}, retries=2)
            return True
    names = ", ".join(one["name"] for one in environments)
    raise KibitzError(f"there is no environment {environment!r}; there are {names}")


def _diff(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="", n=2
    )
    return "\n".join(lines)
