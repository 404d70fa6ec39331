"""What Logs of one trace hand each other: trace id, session and user down, "has usage below" up.

Only the relatives that matter are loaded: parents and waiting children of what has just arrived,
then further up or down as long as something changes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.engine import Connection

from kibitz_collector.store.bulk import is_among
from kibitz_collector.store.contribution import Sums, contribution, has_usage
from kibitz_collector.store.rows import (
    INHERITS_SESSION,
    INHERITS_TRACE,
    INHERITS_USER,
    Row,
    table,
)
from kibitz_collector.store.tables.logs import Log

LOG = table(Log)


@dataclass(slots=True)
class Node:
    """One Log in hand: as it was in the database (None: new) and as it will be."""

    row: Row
    old: Row | None
    _sums: Sums | None = None

    def added(self) -> Sums:
        """Return what the Log adds to sums, worked out once: ask when its row is settled."""
        if self._sums is None:
            self._sums = contribution(self.row)
        return self._sums

    @property
    def is_changed(self) -> bool:
        """Tell whether the row must be written."""
        return self.row != self.old


@dataclass(slots=True)
class Tree:
    """All Logs in hand by id, and which of them are below which."""

    nodes: dict[str, Node] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Take a Log in hand."""
        self.nodes[node.row["id"]] = node
        parent = node.row["trace_parent_id"]
        if parent is not None:
            self.children.setdefault(parent, []).append(node.row["id"])

    def parent_of(self, row: Row) -> Node | None:
        """Return the parent, when it is in hand and in the same trace (or one has none yet)."""
        parent = self.nodes.get(row["trace_parent_id"])
        return parent if parent is None or _are_linked(row, parent.row) else None


def load_rows(connection: Connection, workspace_id: int, ids: Iterable[str]) -> dict[str, Row]:
    """Return the stored rows with these ids."""
    return _load(connection, workspace_id, "id", ids)


def settle_tree(
    connection: Connection, workspace_id: int, tree: Tree, known_traces: set[str]
) -> None:
    """Bring inherited columns of everything in hand up to date, loading relatives as needed."""
    relatives = _Relatives(connection, workspace_id, tree, known_traces)
    arrived = list(tree.nodes)
    relatives.load_parents(arrived)
    relatives.load_children([id_ for id_ in arrived if _says_more(tree.nodes[id_])])
    _hand_down(tree, relatives)
    _hand_up(tree, relatives)
    _find_tops(tree, relatives)


def _says_more(node: Node) -> bool:
    """Tell whether a Log that arrived may have something new for its children."""
    row, old = node.row, node.old
    return old is None or any(old[name] != row[name] for name in ("trace_id", "session_id", "user"))


def _hand_down(tree: Tree, relatives: "_Relatives") -> None:
    waiting = deque(tree.nodes)
    # In a cycle nothing new comes round twice, but hostile input shall not decide how long we turn.
    turns_left = 20 * len(tree.nodes) + 1000
    while waiting and turns_left > 0:
        level = list(dict.fromkeys(waiting))
        waiting.clear()
        moved = [id_ for id_ in level if _inherit(tree, tree.nodes[id_].row)]
        turns_left -= len(level)
        relatives.load_children(moved)
        for id_ in moved:
            waiting.extend(tree.children.get(id_, ()))


def _inherit(tree: Tree, row: Row) -> bool:
    """Take over from the parent what the Log itself has not said; tell whether that changed it."""
    inherits, parent_id = row["inherits"], row["trace_parent_id"]
    if not inherits or parent_id is None or (parent := tree.parent_of(row)) is None:
        return False
    changed = False
    for bit, column in _INHERITED:
        if inherits & bit:
            value = parent.row[column]
            if value is not None and value != row[column]:
                row[column] = value
                changed = True
    return changed


_INHERITED = (
    (INHERITS_TRACE, "trace_id"),
    (INHERITS_SESSION, "session_id"),
    (INHERITS_USER, "user"),
)


def _hand_up(tree: Tree, relatives: "_Relatives") -> None:
    level = [
        id_ for id_, node in tree.nodes.items() if node.row["is_covered"] or has_usage(node.row)
    ]
    while level:
        relatives.load_parents(level)
        above: list[str] = []
        for id_ in level:
            parent = tree.parent_of(tree.nodes[id_].row)
            if parent is not None and not parent.row["is_covered"]:
                parent.row["is_covered"] = True
                above.append(parent.row["id"])
        level = above


def _find_tops(tree: Tree, relatives: "_Relatives") -> None:
    """Mark the Logs whose parent is not here: a list of traces must show them, or nobody would."""
    linked = []
    for id_, node in tree.nodes.items():
        row, old = node.row, node.old
        parent_id = row["trace_parent_id"]
        if parent_id is None:
            row["is_top"] = True
        elif (parent := tree.nodes.get(parent_id)) is None:
            # Of a relative that was loaded, nobody has looked for the parent: nothing is new there.
            if old is None or old["trace_parent_id"] != parent_id:
                row["is_top"] = True
        elif not _are_linked(row, parent.row):
            row["is_top"] = True
        elif old is None or not _was_linked(old, parent.old):
            row["is_top"] = False
            linked.append(id_)
    _cut_cycles(tree, relatives, linked)


def _are_linked(row: Row, above: Row) -> bool:
    """Tell whether a Log is in the same trace as the Log it names as its parent, or in none yet."""
    return bool(row["inherits"] & INHERITS_TRACE) or row["trace_id"] == above["trace_id"]


def _was_linked(old: Row, above: Row | None) -> bool:
    """Tell whether a Log's parent was its parent before."""
    return above is not None and old["trace_parent_id"] == above["id"] and _are_linked(old, above)


def _cut_cycles(tree: Tree, relatives: "_Relatives", linked: Sequence[str]) -> None:
    """Make the earliest Log of each cycle its top; `linked`: Logs that have found their parent."""
    walked: set[str] = set()
    for start in linked:
        # Whoever closes a cycle has its child in hand: what arrives brings its children along.
        if start in walked or start not in tree.children:
            continue
        path: dict[str, None] = {}
        id_: str | None = start
        while id_ is not None and id_ not in walked:
            walked.add(id_)
            path[id_] = None
            row = tree.nodes[id_].row
            if row["trace_parent_id"] not in tree.nodes:
                relatives.load_parents([id_])
            parent = tree.parent_of(row)
            id_ = None if parent is None else parent.row["id"]
        if id_ in path:
            ids = list(path)
            cycle = [tree.nodes[one].row for one in ids[ids.index(id_) :]]
            top = min(cycle, key=lambda row: (row["start_ns"], row["id"]))
            for row in cycle:
                row["is_top"] = row is top


class _Relatives:
    """Loads parents and children, each at most once, and only where there can be any."""

    def __init__(
        self, connection: Connection, workspace_id: int, tree: Tree, known_traces: set[str]
    ) -> None:
        self._connection = connection
        self._workspace_id = workspace_id
        self._tree = tree
        self._known_traces: set[str | None] = set(known_traces)
        self._asked_above: set[str] = set()
        self._asked_below: set[str] = set()
        self._somebody_waits = self._find_waiting()

    def load_parents(self, ids: Sequence[str]) -> None:
        """Take the parents of these Logs in hand."""
        nodes, wanted = self._tree.nodes, set()
        for id_ in ids:
            row = nodes[id_].row
            parent = row["trace_parent_id"]
            if (
                parent is not None
                and parent not in nodes
                and (row["inherits"] & INHERITS_TRACE or row["trace_id"] in self._known_traces)
            ):
                wanted.add(parent)
        wanted -= self._asked_above
        if wanted:
            self._asked_above |= wanted
            self._take(load_rows(self._connection, self._workspace_id, wanted))

    def load_children(self, ids: Sequence[str]) -> None:
        """Take the children of these Logs in hand."""
        wanted = {id_ for id_ in ids if self._may_have_children(self._tree.nodes[id_])}
        wanted -= self._asked_below
        if wanted:
            self._asked_below |= wanted
            self._take(_load(self._connection, self._workspace_id, "trace_parent_id", wanted))

    def _may_have_children(self, node: Node) -> bool:
        row, old = node.row, node.old
        return (
            self._somebody_waits
            or row["trace_id"] in self._known_traces
            # It left the trace its children are in: a span completed a posted one.
            or (old is not None and old["trace_id"] != row["trace_id"])
        )

    def _take(self, rows: dict[str, Row]) -> None:
        for id_, row in rows.items():
            if id_ not in self._tree.nodes:
                self._tree.add(Node(dict(row), row))
                self._known_traces.add(row["trace_id"])

    def _find_waiting(self) -> bool:
        statement = (
            select(LOG.c.seq)
            .where(
                LOG.c.workspace_id == self._workspace_id,
                LOG.c.trace_id.is_(None),
                LOG.c.trace_parent_id.is_not(None),
            )
            .limit(1)
        )
        return self._connection.execute(statement).first() is not None


def _load(
    connection: Connection, workspace_id: int, column: str, values: Iterable[str]
) -> dict[str, Row]:
    wanted = sorted(values)
    if not wanted:
        return {}
    found = connection.execute(
        select(LOG).where(
            LOG.c.workspace_id == workspace_id, is_among(connection, LOG.c[column], wanted)
        )
    ).mappings()
    return {row["id"]: dict(row) for row in found}
