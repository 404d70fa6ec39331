"""All tables. Importing this makes the metadata complete: each new file gets its line here."""

from kibitz_collector.store.tables import (
    alerts,
    content,
    counters,
    datasets,
    evaluations,
    files,
    jobs,
    judgments,
    keys,
    logs,
    quarantine,
    rollups,
    search,
    secrets,
)
from kibitz_collector.store.tables.base import Table

metadata = Table.metadata

__all__ = [
    "alerts",
    "content",
    "counters",
    "datasets",
    "evaluations",
    "files",
    "jobs",
    "judgments",
    "keys",
    "logs",
    "metadata",
    "quarantine",
    "rollups",
    "search",
    "secrets",
]
