"""Keeps and forgets sealed secrets."""

import time
from collections.abc import Mapping

from sqlalchemy import delete
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.secrets import Secret

SECRET = table(Secret)


def keep_secrets(
    session: Session, workspace_id: int, holder: str, sealed: Mapping[str, str]
) -> None:
    """Keep secrets by name; one of the same name is replaced."""
    now_ns = time.time_ns()
    for name, text in sealed.items():
        insert = dialect.insert(session.connection(), SECRET).values(
            id=random_id("sec_"),
            workspace_id=workspace_id,
            holder=holder,
            name=name,
            sealed=text,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        session.connection().execute(
            insert.on_conflict_do_update(
                index_elements=["workspace_id", "holder", "name"],
                set_={"sealed": text, "updated_ns": now_ns},
            )
        )


def forget_secret(session: Session, workspace_id: int, holder: str, name: str) -> None:
    """Delete one secret.

    Raises: NotFound.
    """
    done = session.connection().execute(
        delete(SECRET).where(
            SECRET.c.workspace_id == workspace_id,
            SECRET.c.holder == holder,
            SECRET.c.name == name,
        )
    )
    if not done.rowcount:
        raise NotFound(f"{holder} has nothing called {name!r}")
