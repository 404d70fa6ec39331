"""Stores the values that bodies share."""

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import case
from sqlalchemy.engine import Connection

from kibitz_collector.store.bodies import CONTENT, compress
from kibitz_collector.store.bulk import write_many

_DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class ContentCache:
    """Which values are stored with today's date already; a cache of committed facts."""

    days: dict[tuple[int, bytes], int] = field(default_factory=dict)  # (workspace, hash) -> day
    limit: int = 100_000

    def add(self, other: dict[tuple[int, bytes], int]) -> None:
        """Take over what a transaction stored, once it has committed."""
        if len(self.days) > self.limit:
            self.days.clear()
        self.days.update(other)


def store_contents(
    connection: Connection,
    workspace_id: int,
    contents: dict[bytes, bytes],
    cache: ContentCache,
    stored: dict[tuple[int, bytes], int],
) -> None:
    """Store shared values, or note that they are used today; `stored` takes what was done."""
    day = time.time_ns() // _DAY_NS
    rows = [
        {
            "workspace_id": workspace_id,
            "hash": value_hash,
            "value": compress(contents[value_hash]),
            "last_day": day,
        }
        for value_hash in sorted(contents)
        if cache.days.get((workspace_id, value_hash)) != day
    ]
    if not rows:
        return
    write_many(connection, CONTENT, rows, _keep_last_day)
    stored.update(dict.fromkeys(((workspace_id, value_hash) for value_hash in contents), day))


def _keep_last_day(statement: Any, _names: tuple[str, ...]) -> Any:
    new_day, old_day = statement.excluded.last_day, CONTENT.c.last_day
    return statement.on_conflict_do_update(
        index_elements=["workspace_id", "hash"],
        set_={"last_day": case((new_day > old_day, new_day), else_=old_day)},
    )
