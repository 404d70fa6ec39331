"""Reads API keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from sqlmodel import Session, col, select

from kibitz_collector.store.tables.keys import Key

Role = Literal["ingest", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """One API key, without its text, which nobody has."""

    id: str
    workspace_id: int
    name: str
    role: Role
    hash: str
    hint: str
    created_ns: int
    revoked_ns: int | None


def active_keys(session: Session) -> list[KeyView]:
    """Return the keys in force, of all workspaces."""
    statement = select(Key).where(col(Key.revoked_ns).is_(None))
    return [_view(key) for key in session.exec(statement)]


def list_keys(session: Session, workspace_id: int) -> list[KeyView]:
    """Return a workspace's keys, revoked ones too, oldest first."""
    statement = (
        select(Key)
        .where(Key.workspace_id == workspace_id)
        .order_by(col(Key.created_ns), col(Key.id))
    )
    return [_view(key) for key in session.exec(statement)]


def find_key_by_hash(session: Session, key_hash: str) -> KeyView | None:
    """Return the key in force with this hash."""
    statement = select(Key).where(Key.hash == key_hash, col(Key.revoked_ns).is_(None))
    key = session.exec(statement).first()
    return None if key is None else _view(key)


def key_names(session: Session, workspace_id: int, ids: Iterable[str]) -> dict[str, str]:
    """Return what these keys are called, also when they are revoked; by id."""
    wanted = set(ids)
    if not wanted:
        return {}
    statement = select(Key.id, Key.name).where(
        Key.workspace_id == workspace_id, col(Key.id).in_(wanted)
    )
    return dict(session.exec(statement).all())


def _view(key: Key) -> KeyView:
    return KeyView(
        id=key.id,
        workspace_id=key.workspace_id,
        name=key.name,
        role=cast(Role, key.role),
        hash=key.hash,
        hint=key.hint,
        created_ns=key.created_ns,
        revoked_ns=key.revoked_ns,
    )
