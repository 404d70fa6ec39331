"""Puts the Logs of a trace into tree order; pure: whatever parents say, each Log comes once."""

from collections.abc import Sequence

from kibitz_collector.records import LogSummary


def order_tree(logs: Sequence[LogSummary]) -> list[tuple[int, LogSummary, bool]]:
    """Return (depth, Log, is_orphan), each parent before its children, brothers by start.

    An orphan names a parent that is not there. Of a cycle, the earliest Log is taken for its top
    and is an orphan too.
    """
    ordered = sorted(logs, key=lambda log: (log.start_ns, log.seq))
    ids = {log.id for log in ordered}
    children: dict[str, list[LogSummary]] = {}
    tops: list[tuple[LogSummary, bool]] = []
    for log in ordered:
        parent = log.trace_parent_id
        if parent is None or parent not in ids or parent == log.id:
            tops.append((log, parent is not None))
        else:
            children.setdefault(parent, []).append(log)
    placed: list[tuple[int, LogSummary, bool]] = []
    seen: set[str] = set()
    for log, is_orphan in tops:
        _place(log, is_orphan, children, seen, placed)
    for log in ordered:  # what is left hangs on cycles
        if log.id not in seen:
            _place(log, True, children, seen, placed)
    return placed


def _place(
    top: LogSummary,
    is_orphan: bool,
    children: dict[str, list[LogSummary]],
    seen: set[str],
    placed: list[tuple[int, LogSummary, bool]],
) -> None:
    """Append a Log and what hangs on it, depth first; without recursion, chains may be long."""
    stack = [(0, top, is_orphan)]
    while stack:
        depth, log, orphan = stack.pop()
        if log.id in seen:
            continue
        seen.add(log.id)
        placed.append((depth, log, orphan))
        stack.extend((depth + 1, child, False) for child in reversed(children.get(log.id, ())))
