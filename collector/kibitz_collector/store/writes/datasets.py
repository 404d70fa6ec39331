"""Makes Datasets: their Versions are sets of datapoints."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.files.identity import canonical_datapoint
from kibitz_collector.files.ids import hashed_id
from kibitz_collector.records import Json
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.datasets import Datapoint, VersionDatapoint
from kibitz_collector.store.writes.files import VERSION, ensure_version
from kibitz_collector.store.writes.versions import FileChange, describe_version, find_or_make

DATAPOINT, MEMBER = table(Datapoint), table(VersionDatapoint)
Action = Literal["set", "add", "remove"]
_CHUNK = 400


def change_dataset(
    session: Session,
    workspace_id: int,
    change: FileChange,
    datapoints: Iterable[Json],
    now_ns: int,
    *,
    action: Action = "set",
    base_version_id: str | None = None,
    attributes: Json | None = None,
) -> tuple[str, str]:
    """Make the Version that has these datapoints; returns (file id, version id).

    `add` and `remove` start from the base, or else from the latest Version. Equal datapoints are
    one; the order of first appearance is kept and makes no difference.
    Raises: NotFound, Conflict, Invalid: see `versions.find_or_make`.
    """
    connection = session.connection()
    file_id, is_new = find_or_make(session, workspace_id, change, now_ns)
    given: dict[str, str] = {}
    for datapoint in datapoints:
        text = storable(canonical_datapoint(datapoint))
        given[hashed_id("dp_", file_id, text)] = text
    base = base_version_id or _latest(connection, file_id)
    members = _combine(action, _members(connection, base) if base else [], list(given))
    ids = "\n".join(sorted(members))
    content: Json = {
        "datapoints": hashlib.blake2b(ids.encode(), digest_size=16).hexdigest(),
        "datapoints_count": len(members),
    }
    if attributes:
        content["attributes"] = attributes
    version_id = ensure_version(
        connection, workspace_id, file_id, "dataset", content, now_ns, is_new_file=is_new
    )
    _write_members(connection, workspace_id, file_id, version_id, members, given, now_ns)
    describe_version(session, workspace_id, file_id, version_id, change, now_ns)
    return file_id, version_id


def _combine(action: Action, base: Sequence[str], given: Sequence[str]) -> list[str]:
    if action == "set":
        return list(given)
    if action == "add":
        return list(dict.fromkeys([*base, *given]))
    unwanted = set(given)
    return [member for member in base if member not in unwanted]


def _latest(connection: Connection, file_id: str) -> str | None:
    latest: str | None = connection.execute(
        select(VERSION.c.id)
        .where(VERSION.c.file_id == file_id, VERSION.c.status != "deleted")
        .order_by(VERSION.c.created_ns.desc(), VERSION.c.id.desc())
        .limit(1)
    ).scalar()
    return latest


def _members(connection: Connection, version_id: str) -> list[str]:
    rows = connection.execute(
        select(MEMBER.c.datapoint_id)
        .where(MEMBER.c.version_id == version_id)
        .order_by(MEMBER.c.position)
    )
    return list(rows.scalars())


def _write_members(
    connection: Connection,
    workspace_id: int,
    file_id: str,
    version_id: str,
    members: Sequence[str],
    given: dict[str, str],
    now_ns: int,
) -> None:
    new = [
        {
            "id": member,
            "workspace_id": workspace_id,
            "file_id": file_id,
            "content": given[member],
            "created_ns": now_ns,
        }
        for member in members
        if member in given
    ]
    for start in range(0, len(new), _CHUNK):
        connection.execute(
            dialect.insert(connection, DATAPOINT).on_conflict_do_nothing(),
            new[start : start + _CHUNK],
        )
    if _members(connection, version_id):
        return  # this set is known, perhaps in another order
    places = [
        {"version_id": version_id, "position": position, "datapoint_id": member}
        for position, member in enumerate(members)
    ]
    for start in range(0, len(places), _CHUNK):
        connection.execute(
            dialect.insert(connection, MEMBER).on_conflict_do_nothing(),
            places[start : start + _CHUNK],
        )
