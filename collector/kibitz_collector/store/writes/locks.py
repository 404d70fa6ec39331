"""Lets changes that read before they write go one after the other, as on SQLite they do anyway."""

from sqlmodel import Session

from kibitz_collector.store import dialect


def lock_files(session: Session, workspace_id: int) -> None:
    """Hold off others that change Files, Versions, directories or deployments of a workspace.

    Whoever only stores Logs does not wait; what those make meanwhile is a Conflict.
    """
    dialect.lock_files(session.connection(), workspace_id)
