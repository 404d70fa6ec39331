"""Joins what arrives about one Log in several pieces; pure, and the same in any order.

A *partial* record (a start record, or an OpenTelemetry log record about a span) fills only what the
whole record leaves open. `Facts.weak` names what only partial records have said; among equals the
value that sorts higher wins, so that no order of arrival shows.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from kibitz_collector.files.ids import hashed_id
from kibitz_collector.store.bodies import Values
from kibitz_collector.store.rows import (
    INHERITS_SESSION,
    INHERITS_TRACE,
    INHERITS_USER,
    Row,
    disinherit,
    join_flags,
    settle,
    split_flags,
)

COLLISION_FLAG = "id_collision"
_DICT_FIELDS = (
    "inputs",
    "parameters",
    "metadata",
    "api_fields",
    "provider_request",
    "provider_response",
    "attributes",
    "resource",
)
# Their own rules are below; everything else is one value, decided by `_choose`.
_OWN_RULES = {
    "workspace_id",
    "seq",
    "id",
    "kind",
    "name",
    "start_ns",
    "file_id",
    "version_id",
    "duration_ms",
    "status",
    "flags",
    "keep_probability",
    "mapper_version",
    "received_ns",
    "final_ns",
    "is_genai",
    "is_hidden",
    "is_start",
    "is_covered",
    "is_top",
    "inherits",
    "weak",
}
_STATUS_ORDER = ("incomplete", "lost", "abandoned", "complete", "error")


@dataclass(slots=True)
class Facts:
    """All that is known about one Log: its columns, its body, and what is only weakly known."""

    row: Row
    values: Values
    weak: set[str] = field(default_factory=set)

    @property
    def is_partial(self) -> bool:
        """Tell whether only partial records have arrived; then everything is weak."""
        return bool(self.row["is_start"])

    def is_weak(self, name: str) -> bool:
        """Tell whether only partial records have said this."""
        return self.row["is_start"] or name in self.weak


def read_facts(row: Row, values: Values) -> Facts:
    """Return the facts of a stored row and body."""
    return Facts(dict(row), values, set(orjson.loads(row["weak"])) if row["weak"] else set())


def collides(old: Row, new: Row) -> bool:
    """Tell whether two whole records of one id are two different things."""
    if old["is_start"] or new["is_start"] or is_verdict_again(old, new):
        return False
    return bool(old["start_ns"] != new["start_ns"] or old["name"] != new["name"])


def is_verdict_again(old: Row, new: Row) -> bool:
    """Tell whether a worker judged what another had judged already: the first verdict stands.

    A worker that ended before it could say so, or was held up until its lease was over.
    """
    return bool(old["source"] == new["source"] == "evaluator" and old["id"] == new["id"])


def give_other_id(row: Row) -> None:
    """Give a Log whose id is taken one of its own, the same on each retry, and flag it."""
    row["id"] = hashed_id("log_", row["id"], str(row["start_ns"]), row["name"])
    row["flags"] = join_flags([*split_flags(row["flags"]), COLLISION_FLAG])


def merge(old: Facts, new: Facts, now_ns: int) -> Facts:
    """Join two pieces of one Log; `old` keeps its place (seq, first arrival)."""
    before, after = dict(old.row), dict(new.row)
    _tell_own(before)
    _tell_own(after)
    row = dict(before)
    weak: set[str] = set()
    _merge_name(row, before, after)
    _merge_columns(row, before, after, old, new, weak)
    patched = _patched(old)
    row.update({name: before[name] for name in patched if name in before})
    row["flags"] = join_flags([*split_flags(before["flags"]), *split_flags(after["flags"])])
    row["keep_probability"] = min(before["keep_probability"], after["keep_probability"])
    row["mapper_version"] = max(before["mapper_version"], after["mapper_version"])
    row["is_genai"] = before["is_genai"] or after["is_genai"]
    row["is_hidden"] = not row["is_genai"]  # the tree knows better
    row["is_start"] = before["is_start"] and after["is_start"]
    row["inherits"] = 0
    settle(row, now_ns)
    values = _merge_values(old, new, weak)
    values.update({name: old.values.get(name) for name in patched if name not in before})
    if row["is_start"]:
        weak.clear()  # all of it is, and `is_start` says so
    row["weak"] = orjson.dumps(sorted(weak)).decode() if weak else None
    return Facts(row, values, weak)


def _patched(facts: Facts) -> list[str]:
    """Return what the API was told to set or clear: nothing that is sent again brings it back."""
    told = facts.values.get("api_fields")
    return told.get("patched") or [] if isinstance(told, dict) else []


def _tell_own(row: Row) -> None:
    if row["inherits"] & (INHERITS_TRACE | INHERITS_SESSION | INHERITS_USER):
        disinherit(row)


def _merge_name(row: Row, before: Row, after: Row) -> None:
    if before["is_start"] == after["is_start"]:
        # Two whole records agree, or they would not be one Log; of two partial ones the earlier
        # knows when it began.
        chosen = min(before, after, key=lambda r: (r["start_ns"], r["name"]))
    else:
        chosen = after if before["is_start"] else before
    row["start_ns"], row["name"] = chosen["start_ns"], chosen["name"]


def _merge_columns(
    row: Row, before: Row, after: Row, old: Facts, new: Facts, weak: set[str]
) -> None:
    for name in before:
        if name not in _OWN_RULES:
            row[name], is_weak = _choose(
                before[name], old.is_weak(name), after[name], new.is_weak(name)
            )
            if is_weak:
                weak.add(name)
    # "span" is what a thing is called of which nothing is known.
    kinds = [None if r["kind"] == "span" else r["kind"] for r in (before, after)]
    kind, is_weak = _choose(kinds[0], old.is_weak("kind"), kinds[1], new.is_weak("kind"))
    row["kind"] = kind or "span"
    if is_weak:
        weak.add("kind")
    files = [
        None if r["file_id"] is None else [r["file_id"], r["version_id"]] for r in (before, after)
    ]
    file, is_weak = _choose(files[0], old.is_weak("file_id"), files[1], new.is_weak("file_id"))
    row["file_id"], row["version_id"] = file or (None, None)
    if is_weak:
        weak.add("file_id")
    ranks = [_STATUS_ORDER.index(r["status"]) or None for r in (before, after)]
    rank, is_weak = _choose(ranks[0], old.is_weak("status"), ranks[1], new.is_weak("status"))
    row["status"] = _STATUS_ORDER[rank or 0]
    if is_weak:
        weak.add("status")


def _merge_values(old: Facts, new: Facts, weak: set[str]) -> Values:
    values: Values = {}
    for name in {**old.values, **new.values}:
        before, after = old.values.get(name), new.values.get(name)
        if (
            name in _DICT_FIELDS
            and isinstance(before or {}, dict)
            and isinstance(after or {}, dict)
        ):
            values[name] = _merge_dicts(name, before or {}, after or {}, old, new, weak)
            continue
        values[name], is_weak = _choose(before, old.is_weak(name), after, new.is_weak(name))
        if is_weak:
            weak.add(name)
    return values


def _merge_dicts(
    name: str, before: Values, after: Values, old: Facts, new: Facts, weak: set[str]
) -> Values:
    merged = {}
    for key in {**before, **after}:
        path = f"{name}:{key}"
        merged[key], is_weak = _choose(
            before.get(key), old.is_weak(path), after.get(key), new.is_weak(path)
        )
        if is_weak:
            weak.add(path)
    return merged


def _choose(before: Any, before_weak: bool, after: Any, after_weak: bool) -> tuple[Any, bool]:
    """Return the value that stands and whether it is weak."""
    if after is None:
        return before, before_weak and before is not None
    if before is None:
        return after, after_weak
    if before_weak != after_weak:
        return (after, False) if before_weak else (before, False)
    return max(before, after, key=_order), before_weak


def _order(value: Any) -> tuple[float, int, bytes]:
    """Order values of any type: numbers by size, all else by how much they say."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, 0, type(value).__name__.encode())
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return (0, len(data), data)
