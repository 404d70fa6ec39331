from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from kibitz_collector.store import Store
from kibitz_collector.store.tables import metadata


def _is_ours(name: str | None, kind: str, _parents: dict[str, Any]) -> bool:
    # The text index is no table of the model: the database makes and fills it its own way.
    return not (kind == "table" and name is not None and name.startswith("log_text"))


def test_the_migrated_schema_is_what_the_tables_say(store: Store) -> None:
    with store.write() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"include_name": _is_ours, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_partial_indexes_are_the_same_in_migration_and_model(store: Store) -> None:
    with store.read() as session:
        inspector = inspect(session.connection())
        dialect = session.connection().dialect.name
        for name, table in metadata.tables.items():
            found = {
                index["name"]: index.get("dialect_options", {}).get(f"{dialect}_where")
                for index in inspector.get_indexes(name)
            }
            wanted = {
                index.name: index.dialect_options[dialect]["where"] for index in table.indexes
            }
            assert {k: v is not None for k, v in found.items()} == {
                str(k): v is not None for k, v in wanted.items()
            }
