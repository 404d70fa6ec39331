"""The text index: follows the Logs by `seq` after their commit, and finds them by their words.

`index_round` is the `run_once` of a loop that wakes on the topic "logs". Texts come from what the
writer has just stored (`store.fresh`), or are read and split outside any transaction; what changed
meanwhile is read again inside. SQLite's index holds no text (FTS5, contentless), so an entry is
taken out by deriving its text from the old body once more.
PostgreSQL holds a tsvector of the same tokens per Log.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, func, select, text
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.query.text import BREAK, body_pieces, index_text, index_tokens
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import decode_bodies
from kibitz_collector.store.engine import Store
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.logs import Log
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.search import SearchPending, SearchProgress

LOG, BODY = table(Log), table(LogBodyTable)
PENDING, PROGRESS = table(SearchPending), table(SearchProgress)
INDEX_TABLE = "log_text"
"""Its name, and on SQLite the beginning of its shadow tables' names: not in `tables.metadata`."""

BATCH = 500
FRESH_BATCH = 2000
_NAME = "text-1"  # a new tokenizer needs a new number, and the index made anew

Rows = Sequence[Any]
"""Result rows with `seq`, `workspace_id`, `kind` and `document`."""


class _Text(NamedTuple):
    """One Log's words, in the form the database's index takes."""

    seq: int
    words: str


Texts = Sequence[_Text]


def index_once(store: Store) -> int:
    """Take the next Logs into the index; returns how many. BATCH or more: there may be more."""
    return _index(store)[0]


def index_round(store: Store) -> bool:
    """Take the next Logs into the index; tell whether to go on at once, as with a backlog.

    The few that have come meanwhile wait for the next round: each makes a segment of its own, and
    the more Logs are in it, the less each costs: 54 us in 400, 38 us in 2,000 of many words.
    """
    return _index(store)[1]


def _index(store: Store) -> tuple[int, bool]:
    with store.read() as session:
        connection = session.connection()
        fresh = store.fresh_texts.after(_progress(connection), FRESH_BATCH)
        # More than a batch, or one whose text is not there: the next round reads it.
        is_cut = bool(fresh) and store.fresh_texts.newest > fresh[-1][0]
        news = [] if fresh else _next(session)
        if not fresh and not news and not _has_pending(connection):
            return 0, False
        texts = list(map(_Text._make, fresh)) or _texts(session, news)
    count = len(texts)
    with store.write() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            done = _write_postgresql(session, texts)
        else:
            with dialect.turn(connection):
                done = _write_sqlite(session, texts)
    return done, is_cut or len(news) >= BATCH or done >= count + BATCH


def catch_up(store: Store, *, batches: int = 4) -> None:
    """Take in what came last, so that who has just sent a Log finds it; not a whole backlog."""
    for _ in range(batches):
        if index_once(store) < BATCH:
            return


def index_all(store: Store) -> int:
    """Take in everything there is; for tests, imports and `doctor`."""
    count = 0
    while indexed := index_once(store):
        count += indexed
    return count


def lag(session: Session) -> int:
    """Return how far the index is behind the newest Log, in `seq`."""
    connection = session.connection()
    newest = connection.execute(select(LOG.c.seq).order_by(LOG.c.seq.desc()).limit(1)).scalar()
    if newest is None:
        return 0
    return max(0, int(newest) - _progress(connection))


def texts_of(session: Session, seqs: Sequence[int]) -> Texts:
    """Return the texts these Logs stand in the index with, for `forget`: ask before they change."""
    connection = session.connection()
    if connection.dialect.name == "postgresql" or not seqs:
        return []
    indexed = [seq for seq in seqs if seq <= _progress(connection)]
    changed = connection.execute(_old(PENDING.c.seq.in_(indexed))).all()
    unchanged = set(indexed) - {row.seq for row in changed}
    return _texts(session, [*changed, *_current(connection, sorted(unchanged))])


def forget(connection: Connection, seqs: Sequence[int], texts: Texts) -> None:
    """Take Logs out of the index; in the transaction that has just deleted them."""
    connection.execute(delete(PENDING).where(PENDING.c.seq.in_(seqs)))
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("DELETE FROM log_text WHERE seq = ANY(:seqs)"), {"seqs": list(seqs)}
        )
    else:
        _take_out(connection, list(texts))


def _next(session: Session) -> Rows:
    connection = session.connection()
    settled = dialect.settled_seq(connection)
    statement = (
        select(LOG.c.seq, LOG.c.workspace_id, LOG.c.kind, BODY.c.document)
        .select_from(LOG.outerjoin(BODY, BODY.c.seq == LOG.c.seq))
        .where(LOG.c.seq > _progress(connection))
        .order_by(LOG.c.seq)
        .limit(BATCH)
    )
    if settled is not None:
        statement = statement.where(LOG.c.seq <= settled)
    return connection.execute(statement).all()


def _texts(session: Session, rows: Rows) -> list[_Text]:
    make = _tsvector if session.connection().dialect.name == "postgresql" else index_text
    texts = []
    for workspace_id in {row.workspace_id for row in rows}:
        own = [row for row in rows if row.workspace_id == workspace_id]
        bodies = decode_bodies(session, workspace_id, [row.document for row in own])
        for row, body in zip(own, bodies, strict=True):
            texts.append(_Text(row.seq, make(body_pieces(row.kind, body))))
    return sorted(texts, key=lambda one: one.seq)


def _write_sqlite(session: Session, texts: list[_Text]) -> int:
    """Take changed Logs out and in again, then the new ones, and say how far we are."""
    connection = session.connection()
    progress = _progress(connection)
    if texts and texts[0].seq <= progress:  # another process was faster
        texts = [one for one in texts if one.seq > progress]
    last = texts[-1].seq if texts else progress
    indexed = connection.execute(_old(PENDING.c.seq <= progress).limit(BATCH)).all()
    overtaken = connection.execute(_old(PENDING.c.seq > progress, PENDING.c.seq <= last)).all()
    done = [row.seq for row in (*indexed, *overtaken)]
    changed = {one.seq: one for one in _texts(session, _current(connection, done))}
    _take_out(connection, _texts(session, indexed))
    again = [changed[row.seq] for row in indexed]
    fresh = texts if _are_all_there(connection, texts) else _still_there(connection, texts)
    if changed:
        fresh = [changed.get(one.seq, one) for one in fresh]
    _put_in(connection, again + fresh)
    if done:
        connection.execute(delete(PENDING).where(PENDING.c.seq.in_(done)))
    if texts:
        _advance(connection, last)
    return len(again) + len(fresh)


def _old(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Select what the texts of changed Logs were made of."""
    return (
        select(PENDING.c.seq, LOG.c.workspace_id, PENDING.c.kind, PENDING.c.document)
        .select_from(PENDING.join(LOG, LOG.c.seq == PENDING.c.seq))
        .where(*conditions)
        .order_by(PENDING.c.seq)
    )


def _current(connection: Connection, seqs: list[int]) -> Rows:
    return connection.execute(
        select(LOG.c.seq, LOG.c.workspace_id, LOG.c.kind, BODY.c.document)
        .select_from(LOG.outerjoin(BODY, BODY.c.seq == LOG.c.seq))
        .where(LOG.c.seq.in_(seqs))
    ).all()


def _has_pending(connection: Connection) -> bool:
    return connection.execute(select(PENDING.c.seq).limit(1)).first() is not None


def _take_out(connection: Connection, texts: list[_Text]) -> None:
    rows = [(one.seq, one.words) for one in texts if one.words]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO log_text(log_text, rowid, tokens) VALUES ('delete', ?, ?)", rows
        )


def _are_all_there(connection: Connection, texts: Sequence[_Text]) -> bool:
    """Tell whether no Log has been deleted since its text was read, by counting them."""
    if not texts:
        return True
    between = LOG.c.seq.between(texts[0].seq, texts[-1].seq)
    statement = select(func.count()).select_from(LOG).where(between)
    return bool(connection.execute(statement).scalar_one() == len(texts))


def _still_there(connection: Connection, texts: list[_Text]) -> list[_Text]:
    """Return the texts of Logs that have not been deleted since they were read."""
    if not texts:
        return []
    # A deletion under way waits for us, or we for it: then it takes out what we put in.
    statement = select(LOG.c.seq).where(LOG.c.seq.between(texts[0].seq, texts[-1].seq))
    statement = statement.with_for_update(read=True, key_share=True)
    there = set(connection.execute(statement).scalars())
    return [one for one in texts if one.seq in there]


def _put_in(connection: Connection, texts: list[_Text]) -> None:
    rows = [(one.seq, one.words) for one in texts if one.words]
    if rows:
        connection.exec_driver_sql("INSERT INTO log_text(rowid, tokens) VALUES (?, ?)", rows)


def _write_postgresql(session: Session, texts: list[_Text]) -> int:
    connection = session.connection()
    # Delete, then read: a change that comes meanwhile waits for us and leaves its mark anew.
    first = select(PENDING.c.seq).order_by(PENDING.c.seq).limit(BATCH)
    done = connection.execute(
        delete(PENDING).where(PENDING.c.seq.in_(first)).returning(PENDING.c.seq)
    ).scalars()
    changed = {one.seq: one for one in _texts(session, _current(connection, list(done)))}
    rows = {one.seq: one for one in _still_there(connection, texts)} | changed
    if rows:
        connection.execute(
            text(
                "INSERT INTO log_text(seq, tokens) VALUES (:seq, CAST(:tokens AS tsvector))"
                " ON CONFLICT (seq) DO UPDATE SET tokens = excluded.tokens"
            ),
            [{"seq": one.seq, "tokens": one.words} for one in rows.values()],
        )
    if texts:
        _advance(connection, texts[-1].seq)
    return len(rows)


def _tsvector(pieces: Sequence[str]) -> str:
    """Write tokens with their positions; they hold no quote and no backslash."""
    places: dict[str, list[str]] = {}
    for place, token in enumerate(index_tokens(pieces), 1):
        if token != BREAK:
            places.setdefault(token, []).append(str(min(place, 16383)))
    return " ".join(f"'{token}':{','.join(at)}" for token, at in places.items())


def _progress(connection: Connection) -> int:
    found = connection.execute(select(PROGRESS.c.seq).where(PROGRESS.c.name == _NAME)).scalar()
    return int(found or 0)


def _advance(connection: Connection, seq: int) -> None:
    statement = dialect.insert(connection, PROGRESS).values(name=_NAME, seq=seq)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"seq": statement.excluded.seq},
            where=PROGRESS.c.seq < statement.excluded.seq,
        )
    )
