"""How far the text index has come, and which indexed Logs have changed since.

The index itself is made by migration 0004: `log_text`, an FTS5 table on SQLite, a tsvector table on
PostgreSQL.
"""

from kibitz_collector.store.tables.base import Table, big, blob, string


class SearchProgress(Table, table=True):
    """The highest `seq` an index has taken in."""

    __tablename__ = "search_progress"

    name: str = string(primary_key=True)
    seq: int = big(default=0)


class SearchPending(Table, table=True):
    """A Log that was merged after it was stored: to be indexed again whatever the progress says.

    FTS5 takes an entry out only when shown its text again; so the first change since the last
    indexing leaves here what the text was made of.
    """

    __tablename__ = "search_pending"

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str = string()  # before the change
    document: bytes | None = blob(default=None)  # the body before the change
