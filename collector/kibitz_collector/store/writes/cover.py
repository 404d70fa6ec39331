"""Corrects "a Log below has usage" upwards, when usage was taken away or its Log is gone."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.engine import Connection

from kibitz_collector.store.contribution import has_usage
from kibitz_collector.store.rows import Row
from kibitz_collector.store.writes.tree import LOG, Node, Tree, load_rows


def uncover(
    connection: Connection,
    workspace_id: int,
    tree: Tree,
    below: Iterable[Row],
    gone: frozenset[str] = frozenset(),
) -> None:
    """Look again at what stands above these Logs; what changes is taken into the tree.

    `gone` are ids of Logs about to be deleted: they cover nothing any more.
    """
    above = {row["trace_parent_id"] for row in below} - {None} - gone
    while above:
        missing = above - tree.nodes.keys()
        for row in load_rows(connection, workspace_id, missing).values():
            tree.add(Node(dict(row), row))
        further: set[str] = set()
        for id_ in above & tree.nodes.keys():
            row = tree.nodes[id_].row
            if row["is_covered"] and not _is_covered(connection, tree, row, gone):
                row["is_covered"] = False
                further |= {row["trace_parent_id"]} - {None} - gone
        above = further


def _is_covered(connection: Connection, tree: Tree, parent: Row, gone: frozenset[str]) -> bool:
    found = connection.execute(
        select(LOG).where(
            LOG.c.workspace_id == parent["workspace_id"],
            LOG.c.trace_parent_id == parent["id"],
            LOG.c.trace_id == parent["trace_id"],
        )
    ).mappings()
    for stored in found:
        node = tree.nodes.get(stored["id"])
        row = dict(stored) if node is None else node.row
        if row["id"] not in gone and (row["is_covered"] or has_usage(row)):
            return True
    return False
