"""How far the text index has come, and which indexed Logs have changed since.

The index itself is made by the migrations: an FTS5 table on SQLite, a tsvector table on PostgreSQL.
"""

from kibitz_collector.store.tables.base import Table, big, string


class SearchProgress(Table, table=True):
    """The highest `seq` an index has taken in."""

    __tablename__ = "search_progress"

    name: str = string(primary_key=True)
    seq: int = big(default=0)


class SearchPending(Table, table=True):
    """A Log that was merged after it was stored: to be indexed again whatever the progress says."""

    __tablename__ = "search_pending"

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
