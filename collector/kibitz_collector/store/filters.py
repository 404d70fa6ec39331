"""Compiles a filter tree to a WHERE clause over `log`; values go in as parameters only.

Equal to `query.match` over the same Log. What is unknown (NULL) fulfils no comparison, and its Not
is true: Not is pushed down to the leaves, where `IS NOT TRUE` says just that and indexes still
serve what is not negated.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, not_, or_, select, true

from kibitz_collector.query import values
from kibitz_collector.query.ast import And, Comparison, Node, Not, Op, Or, Text
from kibitz_collector.query.fields import FIELDS, check
from kibitz_collector.query.matcher import metadata_forms
from kibitz_collector.query.text import sought
from kibitz_collector.store.expressions import Contains, Glob, JsonListHas, TextMatch
from kibitz_collector.store.rows import TOKEN_COLUMNS, table
from kibitz_collector.store.tables.files import File
from kibitz_collector.store.tables.judgments import Judgment
from kibitz_collector.store.tables.logs import Log, LogMetadata

LOG, FILE, METADATA, JUDGMENT = table(Log), table(File), table(LogMetadata), table(Judgment)
Condition = ColumnElement[bool]

_COLUMNS = {
    "session": "session_id",
    "trace": "trace_id",
    "version": "version_id",
    "error": "error_type",
    "finish": "finish_reason",
    "latency": "duration_ms",
    "ttft": "time_to_first_token_ms",
    "cost": "cost_usd",
    "started": "start_ns",
    "received": "received_ns",
    "tokens.cache_read": "tokens_cache_read",
}
_SUMS = {
    "tokens": TOKEN_COLUMNS,
    "tokens.input": ("tokens_input_uncached", "tokens_cache_read", "tokens_cache_write"),
    "tokens.output": ("tokens_output", "tokens_reasoning"),
}


def compile_filter(node: Node, now_ns: int, *, workspace_id: int | None = None) -> Condition:
    """Turn a tree into a condition over the `log` table; relative times count from `now_ns`.

    With `workspace_id`, looks into other tables go by their indexes; the workspace of the Logs
    themselves is still the caller's to fix.
    Raises: BadQuery: a comparison that means nothing.
    """
    return _Compiler(now_ns, workspace_id).compile(node, negated=False)


def total(*columns: str) -> ColumnElement[Any]:
    """Return the sum of token columns; NULL when none is known."""
    known = [LOG.c[name].is_not(None) for name in columns]
    added: ColumnElement[Any] = func.coalesce(LOG.c[columns[0]], 0)
    for name in columns[1:]:
        added = added + func.coalesce(LOG.c[name], 0)
    return case((or_(*known), added))


def amount(field: str) -> ColumnElement[Any]:
    """Return the expression of a field with an amount: `latency`, `ttft`, `cost`, `tokens…`."""
    return total(*_SUMS[field]) if field in _SUMS else LOG.c[_COLUMNS.get(field, field)]


class _Compiler:
    def __init__(self, now_ns: int, workspace_id: int | None) -> None:
        self._now_ns = now_ns
        self._workspace_id = workspace_id

    def compile(self, node: Node, *, negated: bool) -> Condition:
        match node:
            case Not(part):
                return self.compile(part, negated=not negated)
            case And(parts):
                conditions = self._parts(parts, negated, joins_texts=not negated)
                return or_(false(), *conditions) if negated else and_(true(), *conditions)
            case Or(parts):
                conditions = self._parts(parts, negated, joins_texts=False)
                return and_(true(), *conditions) if negated else or_(false(), *conditions)
            case Text():
                condition = self._texts([node])
            case Comparison():
                check(node)
                condition = self._comparison(node)
        return condition.is_not(true()) if negated else condition

    def _parts(
        self, parts: tuple[Node, ...], negated: bool, *, joins_texts: bool
    ) -> list[Condition]:
        # Words that must all be there are one look into the index, not one each.
        texts = [part for part in parts if isinstance(part, Text)] if joins_texts else []
        rest = [part for part in parts if not (joins_texts and isinstance(part, Text))]
        conditions = [self.compile(part, negated=negated) for part in rest]
        return [self._texts(texts), *conditions] if texts else conditions

    def _texts(self, nodes: list[Text]) -> Condition:
        wanted = [sought(node) for node in nodes]
        if not all(one.tokens for one in wanted):
            return false()
        return TextMatch(LOG.c.seq, wanted)

    def _comparison(self, node: Comparison) -> Condition:
        match FIELDS[node.field].type:
            case "metadata":
                return self._metadata(node)
            case "judgment":
                return self._judgment(node)
            case "flag":
                return _flag(node)
            case "time":
                moment = 0 if node.op == "exists" else values.time_ns(node.value, self._now_ns)
                return _compare(LOG.c[_COLUMNS[node.field]], node.op, moment)
        if node.field == "file":
            return self._file(node)
        if node.field == "error" and node.op == "exists":
            return or_(LOG.c.status == "error", LOG.c.error_type.is_not(None))
        return _compare(amount(node.field), node.op, node.value)

    def _file(self, node: Comparison) -> Condition:
        if node.op == "exists":
            return LOG.c.file_id.is_not(None)
        found = self._file_ids(_compare(FILE.c.path, node.op, node.value))
        if node.op == "=" and self._workspace_id is not None:
            # One File at most: said so, the index over File and start gives the order as well.
            one: Condition = LOG.c.file_id == found.scalar_subquery()
            return one
        return LOG.c.file_id.in_(found)

    def _file_ids(self, condition: Condition) -> Any:
        return select(FILE.c.id).where(*self._within(FILE), condition)

    def _metadata(self, node: Comparison) -> Condition:
        conditions = self._within(METADATA)
        if node.key is not None:
            conditions.append(METADATA.c.key == node.key)
            conditions.append(_metadata_value(node))
        return LOG.c.seq.in_(select(METADATA.c.seq).where(*conditions))

    def _judgment(self, node: Comparison) -> Condition:
        conditions = [
            JUDGMENT.c.workspace_id == LOG.c.workspace_id,
            JUDGMENT.c.judged_log_id == LOG.c.id,
            JUDGMENT.c.superseded_by.is_(None),
        ]
        if node.key is not None:
            conditions.append(JUDGMENT.c.evaluator_id.in_(self._file_ids(FILE.c.path == node.key)))
            conditions.append(_judged(node.op, node.value))
        return select(JUDGMENT.c.seq).where(*conditions).correlate(LOG).exists()

    def _within(self, owner: Any) -> list[Condition]:
        return [] if self._workspace_id is None else [owner.c.workspace_id == self._workspace_id]


def _compare(column: ColumnElement[Any], op: Op, value: Any) -> Condition:
    return _COMPARE[op](column, value)


_COMPARE: dict[Op, Callable[[Any, Any], Condition]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "like": Glob,
    "contains": Contains,
    "exists": lambda column, _value: column.is_not(None),
}


def _flag(node: Comparison) -> Condition:
    known = LOG.c.flags != ""
    if node.op == "exists":
        return known
    name = str(node.value)
    has = false() if "|" in name else Contains(LOG.c.flags, f"|{name}|")
    return has if node.op == "=" else and_(known, not_(has))


def _metadata_value(node: Comparison) -> Condition:
    match node.op:
        case "exists":
            return true()
        case "=":
            return METADATA.c.value.in_(sorted(metadata_forms(str(node.value))))
        case "!=":
            return METADATA.c.value.not_in(sorted(metadata_forms(str(node.value))))
        case "like" | "contains":
            return _compare(METADATA.c.value, node.op, node.value)
        case op:
            return _compare(METADATA.c.number, op, node.value)


def _judged(op: Op, value: Any) -> Condition:
    """Compare a judgment by the type of the value: true and false, numbers, labels or text."""
    if op == "exists":
        return true()
    is_boolean = JUDGMENT.c.return_type == "boolean"
    if isinstance(value, bool):
        return and_(is_boolean, _compare(JUDGMENT.c.number, op, float(value)))
    if isinstance(value, int | float):
        return and_(not_(is_boolean), _compare(JUDGMENT.c.number, op, float(value)))
    if op == "=":
        return or_(JsonListHas(JUDGMENT.c.labels, value), JUDGMENT.c.text == value)
    if op == "!=":
        has = JsonListHas(JUDGMENT.c.labels, value)
        return or_(and_(JUDGMENT.c.labels.is_not(None), not_(has)), JUDGMENT.c.text != value)
    return or_(_compare(JUDGMENT.c.label, op, value), _compare(JUDGMENT.c.text, op, value))
