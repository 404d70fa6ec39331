"""Writes the narrow rows of judgments, and notes which one replaces which."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection

from kibitz_collector.records import Judgment as JudgmentRecord
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import Row, storable, table
from kibitz_collector.store.tables.judgments import Judgment

JUDGMENT = table(Judgment)
_CHUNK = 400
_Group = tuple[str, str, str, str | None]


@dataclass(slots=True)
class NewJudgment:
    """One judgment and the stored row of its evaluator Log."""

    row: Row
    judgment: JudgmentRecord


def write_judgments(
    connection: Connection, workspace_id: int, judgments: Sequence[NewJudgment]
) -> int:
    """Store judgments; one that came before stays as it was. Returns how many are new."""
    rows = {new.row["seq"]: _row(new) for new in judgments if new.row["file_id"] is not None}
    if not rows:
        return 0
    known = set()
    for part in _chunks(sorted(rows)):
        known |= set(
            connection.execute(select(JUDGMENT.c.seq).where(JUDGMENT.c.seq.in_(part))).scalars()
        )
    fresh = [row for seq, row in sorted(rows.items()) if seq not in known]
    if fresh:
        connection.execute(dialect.insert(connection, JUDGMENT).on_conflict_do_nothing(), fresh)
        supersede(connection, workspace_id, fresh)
    return len(fresh)


def _row(new: NewJudgment) -> Row:
    row, judgment = new.row, new.judgment
    labels = None if judgment.labels is None else [storable(label) for label in judgment.labels]
    number = judgment.number
    return {
        "seq": row["seq"],
        "workspace_id": row["workspace_id"],
        "log_id": row["id"],
        "judged_log_id": storable(judgment.judged_log_id),
        "evaluator_id": row["file_id"],
        "evaluator_version_id": row["version_id"],
        "return_type": judgment.return_type,
        "number": None if number is None or number != number else float(number),
        "label": labels[0] if labels else None,
        "labels": None if labels is None else orjson.dumps(labels).decode(),
        "text": None if judgment.text is None else storable(judgment.text),
        "is_error": judgment.is_error,
        "where": judgment.where,
        "made_by": None if judgment.made_by is None else storable(judgment.made_by),
        "keep_probability": judgment.keep_probability,
        "superseded_by": None,
        "created_ns": row["start_ns"],
        "received_ns": row["received_ns"],
    }


def supersede(connection: Connection, workspace_id: int, fresh: Sequence[Row]) -> None:
    """Of the judgments one evaluator (or person) gave one Log in one place, the latest stands.

    `fresh` are judgments that have come, or gone.
    """
    wanted = {_group(row) for row in fresh}
    groups: dict[_Group, list[Row]] = {}
    for part in _chunks(sorted({row["judged_log_id"] for row in fresh})):
        for found in connection.execute(
            select(JUDGMENT).where(
                JUDGMENT.c.workspace_id == workspace_id, JUDGMENT.c.judged_log_id.in_(part)
            )
        ).mappings():
            row = dict(found)
            if _group(row) in wanted:
                groups.setdefault(_group(row), []).append(row)
    changes = []
    for rows in groups.values():
        latest = max(rows, key=lambda row: (row["created_ns"], row["log_id"]))
        for row in rows:
            replaced_by = None if row is latest else latest["log_id"]
            if row["superseded_by"] != replaced_by:
                changes.append({"the_seq": row["seq"], "replaced_by": replaced_by})
    if changes:
        connection.execute(
            update(JUDGMENT)
            .where(JUDGMENT.c.seq == bindparam("the_seq"))
            .values(superseded_by=bindparam("replaced_by")),
            changes,
        )


def _group(row: Row) -> _Group:
    return (row["judged_log_id"], row["evaluator_id"], row["where"], row["made_by"])


def _chunks(items: Sequence[object]) -> list[Sequence[object]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
