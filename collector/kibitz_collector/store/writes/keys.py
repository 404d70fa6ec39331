"""Makes and revokes API keys. The store sees hashes only."""

import time

from sqlmodel import Session, col, select, update

from kibitz_collector.errors import Conflict, NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.store.tables.keys import Key


def create_key(
    session: Session, workspace_id: int, *, name: str, role: str, key_hash: str, hint: str
) -> str:
    """Keep a new key; returns its id.

    Raises: Conflict: a key with this hash exists.
    """
    if session.exec(select(Key.id).where(Key.hash == key_hash)).first() is not None:
        raise Conflict("this key exists already")
    key = Key(
        id=random_id("key_"),
        workspace_id=workspace_id,
        name=name,
        role=role,
        hash=key_hash,
        hint=hint,
        created_ns=time.time_ns(),
    )
    session.add(key)
    session.flush()
    return key.id


def revoke_key(session: Session, workspace_id: int, key_id: str) -> None:
    """Make a key useless; revoking it again changes nothing.

    Raises: NotFound: no key has this id.
    """
    key = session.get(Key, key_id)
    if key is None or key.workspace_id != workspace_id:
        raise NotFound(f"no key {key_id!r}; `kibitz keys list` shows the ids")
    session.exec(
        update(Key)
        .where(col(Key.id) == key_id, col(Key.revoked_ns).is_(None))
        .values(revoked_ns=time.time_ns())
    )
