"""Counters the store draws numbers from, where the database has no sequences."""

from kibitz_collector.store.tables.base import Table, big, string


class Counter(Table, table=True):
    """The last number drawn; apart from the rows, so that a deleted row's is not used again."""

    __tablename__ = "counter"

    name: str = string(primary_key=True)
    value: int = big(default=0)
