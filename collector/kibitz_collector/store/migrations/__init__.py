"""Alembic migrations: one file per change, run by `store.migrate`."""
