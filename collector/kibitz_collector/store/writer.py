"""The writer thread: takes everything that waits, stores it in one transaction, tells who waits.

One commit for many requests makes `synchronous=FULL` cost almost nothing. A record the database
refuses is found by halving and quarantined; its neighbours are stored.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import orjson
from sqlmodel import Session

from kibitz_collector.errors import Busy
from kibitz_collector.records import IngestOutcome, LogRecord, Rejected
from kibitz_collector.store.bodies import clean_json
from kibitz_collector.store.dialect import (
    has_waited,
    is_unavailable,
    reason_of,
    translated_errors,
    turn,
)
from kibitz_collector.store.fresh import FreshTexts
from kibitz_collector.store.writes import quarantine
from kibitz_collector.store.writes.ingest import Caches, Ingested, ingest
from kibitz_collector.store.writes.prepared import Prepared, prepare
from kibitz_collector.store.writes.producers import ProducerReport, note_reports
from kibitz_collector.turns import TURN, pieces

log = logging.getLogger("kibitz.collector")

MAX_GROUP = 2000
_RETRIES = 3
_RETRY_S = 0.05
OpenSession = Callable[[], AbstractContextManager[Session]]


@dataclass(slots=True)
class _Submission:
    """The records of one call and where its caller waits."""

    workspace_id: int
    batch: list[Prepared]
    size_bytes: int
    report: ProducerReport | None = None
    result: "Future[list[IngestOutcome]]" = field(default_factory=Future)


class Writer:
    """Group commit on one thread, started by the first record."""

    def __init__(
        self,
        write: OpenSession,
        announce: Callable[[str], None],
        fresh_texts: FreshTexts,
        *,
        match_monitors: bool,
        max_pending_bytes: int,
    ) -> None:
        self._write = write
        self._announce = announce
        self._fresh_texts = fresh_texts
        self._match_monitors = match_monitors
        self._max_pending_bytes = max_pending_bytes
        self._caches = Caches()
        self._condition = threading.Condition()
        self._waiting: deque[_Submission] = deque()
        self._pending_bytes = 0
        self._is_closed = False
        self._is_down = False  # the last group could not be stored
        self._thread: threading.Thread | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of records that are not committed yet."""
        return self._pending_bytes

    def ingest(
        self,
        workspace_id: int,
        records: Sequence[LogRecord],
        report: ProducerReport | None = None,
    ) -> list[IngestOutcome]:
        """Store records, and what is said of their producer; returns when they are committed.

        Raises: Busy: too much waits, or the database cannot be written.
        """
        if not records:
            return []
        tried: list[Prepared | Exception] = []
        for piece in pieces(records):
            with TURN:
                tried += [self._try_to_prepare(record) for record in piece]
        batch = [one for one in tried if not isinstance(one, Exception)]
        outcomes = iter(self._submit(workspace_id, batch, report) if batch else ())
        return [
            self._quarantine(workspace_id, record, one)
            if isinstance(one, Exception)
            else next(outcomes)
            for record, one in zip(records, tried, strict=True)
        ]

    def _try_to_prepare(self, record: LogRecord) -> Prepared | Exception:
        try:
            return prepare(record, self._caches.seen, self._fresh_texts.is_wanted)
        except Exception as error:  # goes to quarantine alone; its neighbours are stored
            return error

    def close(self) -> None:
        """Store what waits and end the thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _submit(
        self, workspace_id: int, batch: list[Prepared], report: ProducerReport | None
    ) -> list[IngestOutcome]:
        size_bytes = sum(prepared.size_bytes for prepared in batch)
        submission = _Submission(workspace_id, batch, size_bytes, report)
        with self._condition:
            if self._is_closed:
                raise Busy("the collector is stopping", retry_after_s=5.0)
            # One batch is always taken, however large: it would never fit otherwise.
            if self._pending_bytes and self._pending_bytes + size_bytes > self._max_pending_bytes:
                raise Busy(
                    f"{self._pending_bytes} bytes wait to be stored; send again later",
                    retry_after_s=1.0,
                )
            self._pending_bytes += size_bytes
            self._waiting.append(submission)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kibitz-writer", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        return submission.result.result()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._is_closed:
                    self._condition.wait()
                if self._is_closed and self._is_down:
                    self._refuse_all()  # nobody waits through one time-out after the other
                if not self._waiting:
                    return
                group = self._take_group()
            try:
                self._store(group)
            except BaseException as error:
                for submission in group:
                    if not submission.result.done():
                        submission.result.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            finally:
                with self._condition:
                    self._pending_bytes -= sum(submission.size_bytes for submission in group)

    def _refuse_all(self) -> None:
        for submission in self._waiting:
            submission.result.set_exception(Busy("the collector is stopping", retry_after_s=5.0))
            self._pending_bytes -= submission.size_bytes
        self._waiting.clear()

    def _take_group(self) -> list[_Submission]:
        group = [self._waiting.popleft()]
        count = len(group[0].batch)
        while self._waiting and count + len(self._waiting[0].batch) <= MAX_GROUP:
            group.append(self._waiting.popleft())
            count += len(group[-1].batch)
        return group

    def _store(self, group: list[_Submission]) -> None:
        """Store a group together, or, when that fails, each submission alone."""
        try:
            outcomes = self._commit(group)
            self._is_down = False
        except Busy as error:
            self._is_down = True
            for submission in group:
                submission.result.set_exception(error)
            return
        except Exception as error:
            if len(group) > 1:
                for submission in group:
                    self._store([submission])
                return
            log.warning(
                "a batch was refused (%s); storing its records one by one", reason_of(error)
            )
            try:
                outcomes = [self._store_halves(group[0].workspace_id, group[0].batch)]
                with self._write() as session:
                    _note_producers(session, group)
            except Exception as refusal:
                group[0].result.set_exception(refusal)
                return
        for submission, result in zip(group, outcomes, strict=True):
            submission.result.set_result(result)

    def _store_halves(self, workspace_id: int, batch: list[Prepared]) -> list[IngestOutcome]:
        middle = len(batch) // 2
        outcomes: list[IngestOutcome] = []
        for half in (batch[:middle], batch[middle:]):
            if not half:
                continue
            try:
                outcomes += self._commit([_Submission(workspace_id, half, 0)])[0]
            except Busy:
                raise
            except Exception as error:
                if len(half) == 1:
                    outcomes.append(self._quarantine(workspace_id, half[0].record, error))
                else:
                    outcomes += self._store_halves(workspace_id, half)
        return outcomes

    def _commit(self, group: list[_Submission]) -> list[list[IngestOutcome]]:
        """Store submissions in one transaction, then announce it.

        Raises: Busy: the database is not available. Other errors: a record cannot be stored.
        """
        for attempt in range(_RETRIES):
            try:
                return self._commit_once(group)
            except Exception as error:
                # A deadlock, a lock held too long, a broken connection, a full disk.
                if not is_unavailable(error):
                    raise
                if attempt + 1 == _RETRIES or has_waited(error):
                    log.error("the database cannot be written: %s", reason_of(error))
                    raise Busy(
                        f"the database cannot be written: {reason_of(error)}", retry_after_s=2.0
                    ) from None
                time.sleep(_RETRY_S * 2**attempt)
        raise AssertionError("unreachable")

    def _commit_once(self, group: list[_Submission]) -> list[list[IngestOutcome]]:
        by_workspace: dict[int, list[Prepared]] = {}
        for submission in group:
            by_workspace.setdefault(submission.workspace_id, []).extend(submission.batch)
        done: dict[int, Ingested] = {}
        with self._write() as session:
            with turn(session.connection()):
                for workspace_id in sorted(by_workspace):
                    done[workspace_id] = ingest(
                        session,
                        workspace_id,
                        by_workspace[workspace_id],
                        caches=self._caches,
                        match_monitors=self._match_monitors,
                    )
            _note_producers(session, group)
        for ingested in done.values():
            self._caches.files.add(ingested.files)
            self._caches.contents.add(ingested.contents)
        self._fresh_texts.add(sorted(text for one in done.values() for text in one.texts))
        self._announce("logs")
        if any(ingested.judgment_count for ingested in done.values()):
            self._announce("judgments")
        if any(ingested.job_count for ingested in done.values()):
            self._announce("jobs")
        outcomes = {
            workspace_id: iter(ingested.outcomes) for workspace_id, ingested in done.items()
        }
        return [
            [next(outcomes[submission.workspace_id]) for _ in submission.batch]
            for submission in group
        ]

    def _quarantine(self, workspace_id: int, record: LogRecord, error: Exception) -> IngestOutcome:
        reason = f"could not be stored: {reason_of(error)}"
        payload = orjson.dumps(clean_json(_plain(record)))
        with translated_errors(), self._write() as session:
            quarantine.keep(
                session, workspace_id, [Rejected(reason=reason, payload=payload, signal="record")]
            )
        return IngestOutcome(log_id=record.id, is_new=False, seq=0, error=reason)


def _note_producers(session: Session, group: Sequence[_Submission]) -> None:
    # After everything else: two collectors that hear from one process must not wait in a circle.
    for workspace_id in sorted({submission.workspace_id for submission in group}):
        reports = [
            submission.report
            for submission in group
            if submission.workspace_id == workspace_id and submission.report is not None
        ]
        if reports:
            note_reports(session, workspace_id, reports)


def _plain(value: object) -> object:
    """Return a record as dicts all the way down."""
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is None:
        return value
    return {name: _plain(part) for name in names if (part := getattr(value, name)) is not None}
