"""Reads sealed secrets; `access` opens them."""

from dataclasses import dataclass

from sqlmodel import Session, select

from kibitz_collector.store.tables.secrets import Secret

PROVIDER = "provider"
"""The holder of provider keys; environment variables are held by the id of their Tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """One secret, still sealed."""

    name: str
    sealed: str
    updated_ns: int


def list_secrets(session: Session, workspace_id: int, holder: str) -> list[SecretView]:
    """Return what a holder has, by name."""
    rows = session.exec(
        select(Secret)
        .where(Secret.workspace_id == workspace_id, Secret.holder == holder)
        .order_by(Secret.name)
    )
    return [SecretView(name=r.name, sealed=r.sealed, updated_ns=r.updated_ns) for r in rows]


def find_secret(session: Session, workspace_id: int, holder: str, name: str) -> SecretView | None:
    """Return one secret by name."""
    found = [s for s in list_secrets(session, workspace_id, holder) if s.name == name]
    return found[0] if found else None
