"""Which of the processes on one PostgreSQL database does what only one should do.

An advisory lock of a session: it falls with its process, so the next that asks has it. Whoever was
leader and does not know yet that it no longer is does no harm: what leaders do is safe to do twice,
only wasteful.
"""

import hashlib
import threading

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_SPACE = 0x6B6965


class Leadership:
    """One process's claims to lead, by name, on one connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._held: set[str] = set()

    def leads(self, name: str) -> bool:
        """Tell whether this process leads; takes the lead when nobody has it.

        Raises: DBAPIError: the database does not answer.
        """
        with self._lock:
            try:
                return self._ask(name)
            except DBAPIError:
                self._let_go()
                raise

    def close(self) -> None:
        """Leave the lead to others."""
        with self._lock:
            self._let_go()

    def _ask(self, name: str) -> bool:
        connection = self._connection
        if connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
        if name in self._held:
            connection.execute(text("SELECT 1"))  # the lock stands as long as the session does
            return True
        taken = connection.execute(
            text("SELECT pg_try_advisory_lock(:space, :name)"),
            {"space": _SPACE, "name": _number(name)},
        ).scalar_one()
        if taken:
            self._held.add(name)
        return bool(taken)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            connection.invalidate()  # ends the session: in a pool it would keep its locks
            connection.close()


def _number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True)
