"""Opens the database and holds its two doors, `read()` and `write()`, for the whole collector."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from kibitz_collector.records import FileRegistration, IngestOutcome, LogRecord, Rejected
from kibitz_collector.store import dialect
from kibitz_collector.store.bridge import Bridge
from kibitz_collector.store.fresh import MAX_BYTES, FreshTexts
from kibitz_collector.store.leadership import Leadership
from kibitz_collector.store.migrate import migrate
from kibitz_collector.store.topics import Topics
from kibitz_collector.store.writer import Writer
from kibitz_collector.store.writes import quarantine
from kibitz_collector.store.writes.evaluation import attach_registered
from kibitz_collector.store.writes.files import register_file
from kibitz_collector.store.writes.producers import ProducerReport, note_reports

MAX_PENDING_BYTES = 64 * 2**20


def open_store(
    database_url: str, *, match_monitors: bool = True, max_pending_bytes: int = MAX_PENDING_BYTES
) -> "Store":
    """Open a database, bring its schema up to date, start its writer.

    Raises: SetupError: it cannot be used. NewerSchema: a newer kibitz wrote it.
    """
    url = dialect.read_url(database_url)
    dialect.prepare_file(url)
    hurried = threading.Event()
    writing, reading = dialect.make_engines(url, hurried)
    try:
        migrate(writing, url)
    except DBAPIError as error:
        writing.dispose()
        reading.dispose()
        raise dialect.connection_problem(error, url) from None
    except BaseException:
        writing.dispose()
        reading.dispose()
        raise
    return Store(
        url,
        writing,
        reading,
        hurried,
        match_monitors=match_monitors,
        max_pending_bytes=max_pending_bytes,
    )


class Store:
    """One open database. All methods may be called from any thread."""

    def __init__(
        self,
        url: URL,
        writing: Engine,
        reading: Engine,
        hurried: threading.Event,
        *,
        match_monitors: bool,
        max_pending_bytes: int,
    ) -> None:
        self.url = url
        self._writing = writing
        self._reading = reading
        self._hurried = hurried
        self._topics = Topics()
        self._bridge: Bridge | None = None
        self._leadership: Leadership | None = None
        if url.drivername != "sqlite":
            self._bridge = Bridge(dialect.connector(writing), self._topics.announce)
            self._leadership = Leadership(writing)
        self._one_writer = threading.Lock() if url.drivername == "sqlite" else None
        self._inside = threading.local()
        # On PostgreSQL whichever process comes first makes the index; it reads what it needs.
        self.fresh_texts = FreshTexts(MAX_BYTES if url.drivername == "sqlite" else 0)
        self._writer = Writer(
            self._transaction,
            self.announce,
            self.fresh_texts,
            match_monitors=match_monitors,
            max_pending_bytes=max_pending_bytes,
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that only reads; on SQLite it sees one moment of the database.

        Raises: Busy: the database cannot be used now. Invalid: it cannot hold a value asked for.
        """
        with dialect.translated_errors(), Session(self._reading) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open one short transaction: committed at the end, undone on an error.

        One at a time on SQLite; never nested, never around a network call.
        Raises: Busy: the database cannot be written now. Invalid: it cannot hold a value.
        """
        with dialect.translated_errors(), self._transaction() as session:
            yield session

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        """Do what `write` does, with the driver's own errors: the writer tells them apart."""
        if getattr(self._inside, "write", False):
            raise RuntimeError("store.write() inside store.write(): one transaction at a time")
        if self._one_writer is not None:
            self._one_writer.acquire()
        self._inside.write = True
        try:
            with Session(self._writing) as session, session.begin():
                yield session
        finally:
            self._inside.write = False
            if self._one_writer is not None:
                self._one_writer.release()

    def ingest(
        self,
        workspace_id: int,
        records: Sequence[LogRecord],
        report: ProducerReport | None = None,
    ) -> list[IngestOutcome]:
        """Store Logs; returns when they are committed, outcomes in the order given.

        `report` says of which process they are; it is noted in the same transaction.
        A record the database refuses is put into quarantine and its outcome has `error` set.
        Raises: Busy: too many bytes wait already, or the database cannot be written now.
        """
        if getattr(self._inside, "write", False):
            raise RuntimeError("store.ingest() inside store.write() would wait for itself")
        return self._writer.ingest(workspace_id, records, report)

    def register_file(self, workspace_id: int, registration: FileRegistration) -> tuple[str, str]:
        """Make sure a File and a Version with this content exist; returns their ids.

        An Evaluator's `on` attaches it to what arrives from now on.
        Raises: Invalid, BadQuery: it is not an Evaluator that could be run or attached.
        """
        with self.write() as session:
            ids = register_file(session, workspace_id, registration)
            if registration.kind == "evaluator":
                attach_registered(session, workspace_id, *ids, registration.content)
        return ids

    def quarantine(self, workspace_id: int, rejected: Sequence[Rejected]) -> None:
        """Keep records that could not be taken."""
        if not rejected:
            return
        with self.write() as session:
            quarantine.keep(session, workspace_id, rejected)

    def note_producer(self, workspace_id: int, report: ProducerReport) -> None:
        """Note what a request says of its process when none of its records is to be stored."""
        with self.write() as session:
            note_reports(session, workspace_id, [report])

    @property
    def pending_bytes(self) -> int:
        """Bytes waiting for the writer; a receiver may refuse before it decodes."""
        return self._writer.pending_bytes

    def subscribe(self, topic: str) -> threading.Event:
        """Return an event of your own that is set after each commit that concerns the topic."""
        if self._bridge is not None:
            self._bridge.listen(topic)
        return self._topics.subscribe(topic)

    def announce(self, topic: str) -> None:
        """Set the events of a topic's subscribers; those of other processes a little later."""
        self._topics.announce(topic)
        if self._bridge is not None:
            self._bridge.say(topic)

    def leads(self, name: str) -> bool:
        """Tell whether this process is the one, of all on this database, that does `name`.

        Raises: Busy: the database cannot be used now.
        """
        if self._leadership is None:
            return True  # on SQLite what leaders do is cheap, and safe to do twice
        with dialect.translated_errors():
            return self._leadership.leads(name)

    def hurry(self) -> None:
        """Wait only shortly for another process's lock from now on: this one is to end."""
        self._hurried.set()

    def close(self) -> None:
        """Store what waits, then close; a second call does nothing."""
        self._writer.close()
        if self._bridge is not None:
            self._bridge.close()
        if self._leadership is not None:
            self._leadership.close()
        self._writing.dispose()
        self._reading.dispose()
