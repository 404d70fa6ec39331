"""The store: all SQL lives here; the rest of the collector sees records."""

from sqlmodel import Session

from kibitz_collector.store.engine import Store, open_store

__all__ = ["Session", "Store", "open_store"]
