"""Everything in which SQLite and PostgreSQL differ, for the rest of the store."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from kibitz_collector.errors import Busy, Conflict, Invalid, SetupError
from kibitz_collector.turns import TURN

BUSY_TIMEOUT_S = 30.0
_WAIT_S = 5.0  # for another process's lock, while somebody waits for an answer
_HURRIED_WAIT_S = 0.5  # the same, while we are to end
_CONNECT_TIMEOUT_S = 5
# A process that was stopped or whose machine is gone must not hold what the others wait for.
_POSTGRESQL_SETTINGS = (
    "SET idle_in_transaction_session_timeout = '60s';"
    " SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
OLDEST_SQLITE = (3, 35, 0)  # RETURNING
Insert = postgresql.Insert | sqlite.Insert


def read_url(database_url: str) -> URL:
    """Parse a database URL and choose its driver.

    Raises: SetupError: it is not one of ours, or names no file.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise SetupError(
            f"database URL {database_url!r} is not understood; "
            "use sqlite:///FILE or postgresql://user:password@host/name"
        ) from None
    if url.drivername == "sqlite":
        if not url.database or url.database == ":memory:":
            raise SetupError("a database in memory would lose its Logs; use sqlite:///FILE")
        return url
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise SetupError(
        f"database {url.drivername!r} is not supported; use sqlite:///FILE or postgresql://…"
    )


def make_engines(url: URL, hurried: threading.Event) -> tuple[Engine, Engine]:
    """Return the engine that writes and the one that reads; nothing is opened yet.

    Once `hurried` is set, nobody waits long for another process's lock.
    """
    if url.drivername == "sqlite":
        same_file = _FileWatch(Path(str(url.database)))
        return (
            _sqlite_engine(url, same_file, hurried, writes=True),
            _sqlite_engine(url, same_file, hurried, writes=False),
        )
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=_CONNECT_TIMEOUT_S,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.execute(_POSTGRESQL_SETTINGS)
        connection.commit()

    return engine, engine


def connector(engine: Engine) -> Callable[[], psycopg.Connection[tuple[Any, ...]]]:
    """Return what opens a PostgreSQL connection outside the engine's pool."""
    positional, named = engine.dialect.create_connect_args(engine.url)

    def connect() -> psycopg.Connection[tuple[Any, ...]]:
        options = {**named, "connect_timeout": _CONNECT_TIMEOUT_S, "autocommit": True}
        return psycopg.connect(*positional, **options)

    return connect


def prepare_file(url: URL) -> None:
    """Give a new SQLite file its page size and journal; these cannot be changed later.

    Raises: SetupError: the file cannot be made or written, or is no database.
    """
    if url.drivername != "sqlite":
        return
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise SetupError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")
    path = Path(str(url.database))
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise SetupError(_file_problem(path, error)) from None
    try:
        # 16 KB pages: for rows of our size a third fewer bytes than 4 KB ones, twice the rate.
        connection.execute("PRAGMA page_size=16384")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        _retry_locked(connection, "PRAGMA journal_mode=WAL")
        _retry_locked(connection, "BEGIN IMMEDIATE")  # fails here if the file is not writable
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise SetupError(_file_problem(path, error)) from None
    finally:
        connection.close()


def connection_problem(error: DBAPIError, url: URL) -> SetupError:
    """Turn a driver's error at start into one line."""
    reason = " ".join(str(error.orig).split())
    return SetupError(
        f"cannot use the database {url.render_as_string(hide_password=True)}: {reason}"
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what drivers raise into our errors, for whoever asks through the store's doors.

    Raises: Busy: the database cannot be used now. Invalid: it cannot hold a value it was given.
    Conflict: another transaction was faster.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if is_unavailable(error):
            raise Busy(
                f"the database cannot be used now: {reason_of(error)}", retry_after_s=2.0
            ) from error
        if isinstance(error, IntegrityError):
            raise Conflict(
                f"someone else made the same at this moment; ask again: {reason_of(error)}"
            ) from error
        if not isinstance(error, DataError):
            raise
        raise Invalid(f"a value is not one the database can hold: {reason_of(error)}") from error
    except UnicodeEncodeError as error:
        raise Invalid(f"a value is not one the database can hold: {reason_of(error)}") from error
    except OverflowError as error:
        if "SQLite" not in str(error):  # the driver's words for an integer of over 64 bits
            raise
        raise Invalid(f"a number is larger than the database can hold: {error}") from error


def is_unavailable(error: Exception) -> bool:
    """Tell whether the database refused itself, not what it was asked: later it may take it."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # The server we are connected to has become, or was made, one that only reads.
    is_standby = isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction)
    return error.connection_invalidated or is_standby


def has_waited(error: Exception) -> bool:
    """Tell whether the database has been tried for so long that nobody waits any more."""
    if isinstance(error, PoolTimeout):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def reason_of(error: Exception) -> str:
    """Return a driver's error as one line, without the statement."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:500]


def insert(connection: Connection, table: Table) -> Any:
    """Return an INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def next_seqs(connection: Connection, count: int) -> range | Sequence[int]:
    """Draw `count` numbers, rising; on SQLite in commit order, on PostgreSQL nearly so."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(
            text("UPDATE counter SET value = value + :n WHERE name = 'seq' RETURNING value"),
            {"n": count},
        ).scalar_one()
        return range(last - count + 1, last + 1)
    # What lies above this is not settled until we have committed: see `settled_seq`.
    connection.execute(
        text(
            "SELECT pg_advisory_xact_lock_shared("
            ":tag | (last_value - CASE WHEN is_called THEN 0 ELSE 1 END)) FROM log_seq"
        ),
        {"tag": _LOCK_SEQ << 48},
    )
    drawn = connection.execute(
        text("SELECT nextval('log_seq') FROM generate_series(1, :n)"), {"n": count}
    )
    return sorted(drawn.scalars())


def turn(connection: Connection) -> AbstractContextManager[object]:
    """Return what to hold while many rows are written: PostgreSQL's work is not our processor's."""
    return TURN if connection.dialect.name == "sqlite" else nullcontext()


def settled_seq(connection: Connection) -> int | None:
    """Return up to which `seq` nothing more can appear; None: that is so of all there is.

    On PostgreSQL a lower number may be committed after a higher one, so whoever follows Logs by
    `seq` must stop here, and ask before it reads. Each ingest holds, until it has committed, a lock
    whose number is the last `seq` given out before its own.
    """
    if connection.dialect.name == "sqlite":
        return None
    # In this order, each in a statement of its own: a number drawn before we ask for the last one
    # had its lock before, so its transaction is seen here, or has committed and is seen after.
    last = connection.execute(
        text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM log_seq")
    ).scalar_one()
    unsettled = _lowest_lock(connection, _LOCK_SEQ)
    return int(last) if unsettled is None else min(int(last), unsettled)


def settled_ns(connection: Connection, now_ns: int) -> int:
    """Return up to which arrival time nothing more can appear, `now_ns` at the latest."""
    if connection.dialect.name == "sqlite":
        return now_ns
    began_ms = _lowest_lock(connection, _LOCK_TIME)
    return now_ns if began_ms is None else min(now_ns, began_ms * 10**6 - 1)


def _lowest_lock(connection: Connection, tag: int) -> int | None:
    lowest = connection.execute(
        text(
            "SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = :tag"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        {"tag": tag},
    ).scalar_one()
    return None if lowest is None else int(lowest)


def lock_traces(
    connection: Connection, workspace_id: int, buckets: set[int] | None, now_ns: int
) -> None:
    """Hold off other processes that write to the same traces until this transaction ends.

    None: all traces of the workspace. `now_ns` is the arrival time of what will be written, held
    for `settled_ns`. SQLite has one writer anyway.
    """
    if connection.dialect.name == "sqlite":
        return
    connection.execute(
        text("SELECT pg_advisory_xact_lock_shared(:key)"),
        {"key": _LOCK_TIME << 48 | now_ns // 10**6},
    )
    if buckets is None:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :workspace)"),
            {"space": _LOCK_WORKSPACE, "workspace": workspace_id},
        )
        return
    connection.execute(
        text("SELECT pg_advisory_xact_lock_shared(:space, :workspace)"),
        {"space": _LOCK_WORKSPACE, "workspace": workspace_id},
    )
    # In one order everywhere, or two processes wait for each other.
    keys = [((workspace_id & 0x3FFFFF) << 10) | bucket for bucket in sorted(buckets)]
    connection.execute(
        text(
            "SELECT pg_advisory_xact_lock(:space, key)"
            " FROM unnest(CAST(:keys AS integer[])) WITH ORDINALITY AS k(key, n)"
        ),
        {"space": _LOCK_TRACE, "keys": keys},
    )


def lock_files(connection: Connection, workspace_id: int) -> None:
    """Hold off all others that change Files of a workspace until this transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :workspace)"),
            {"space": _LOCK_FILES, "workspace": workspace_id},
        )


TRACE_BUCKETS = 1024
_LOCK_WORKSPACE = 0x6B6962
_LOCK_TRACE = 0x6B6963
LOCK_MIGRATE = 0x6B6964
_LOCK_FILES = 0x6B6965
_LOCK_SEQ, _LOCK_TIME = 0x6B69, 0x6B6A
"""The upper 16 bits of locks whose other 48 are a `seq`, or a time in ms."""


class _FileWatch:
    """Notices that the file was deleted or replaced: SQLite itself would go on without a word,
    and all that is acknowledged from then on would be gone with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None

    def check(self) -> None:
        """Raises: OperationalError: it is not the file that was opened first."""
        try:
            status = self._path.stat()
            found = (status.st_dev, status.st_ino)
        except OSError:
            found = None
        if self._identity is None:
            self._identity = found
        if found is None or found != self._identity:
            problem = f"the file {self._path} was deleted or replaced; put it back, or restart"
            raise OperationalError("BEGIN", None, sqlite3.OperationalError(problem))


def _sqlite_engine(
    url: URL, same_file: _FileWatch, hurried: threading.Event, *, writes: bool
) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1 if writes else 8,
        max_overflow=0 if writes else 24,
        connect_args={"timeout": _WAIT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "do_connect")
    def before_connect(*_: object) -> None:
        same_file.check()  # connecting would make an empty file in its place

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to say: see on_begin
        for pragma in (
            "synchronous=FULL",
            f"cache_size={-32768 if writes else -8192}",
            "wal_autocheckpoint=4000",
            "temp_store=MEMORY",
            "foreign_keys=ON",
            *(() if writes else ("query_only=ON",)),
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        same_file.check()
        if hurried.is_set():
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_HURRIED_WAIT_S * 1000:.0f}")
        # IMMEDIATE: a reader that turns writer half-way is refused without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _retry_locked(connection: sqlite3.Connection, statement: str) -> None:
    # Switching to WAL does not honour the busy timeout when another process does the same.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _file_problem(path: Path, error: sqlite3.Error) -> str:
    if not path.parent.is_dir():
        return f"cannot make the database {path}: the folder {path.parent} does not exist"
    return f"cannot use the database {path}: {error}; is it a SQLite file this user may write?"
