import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kibitz_collector.errors import Busy, Invalid, NewerSchema, SetupError
from kibitz_collector.records import Rejected
from kibitz_collector.store import Store, dialect, open_store
from kibitz_collector.store.migrate import migrate
from kibitz_collector.store.tables.logs import Log
from tests.collector.store.facts import WORKSPACE, log, rows


def test_a_written_row_is_there_after_closing_and_opening(database_url: str) -> None:
    first = open_store(database_url)
    first.ingest(WORKSPACE, [log("log_a")])
    first.close()
    second = open_store(database_url)
    assert [row["id"] for row in rows(second, Log)] == ["log_a"]
    second.close()


def test_sqlite_files_have_the_agreed_pragmas(sqlite_store: Store) -> None:
    with sqlite_store.write() as session:
        connection = session.connection()
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_size", "auto_vacuum", "journal_mode", "synchronous")
        }
    assert found == {"page_size": 16384, "auto_vacuum": 2, "journal_mode": "wal", "synchronous": 2}


def test_readers_cannot_write_on_sqlite(sqlite_store: Store) -> None:
    with sqlite_store.read() as session, pytest.raises(Exception, match="readonly"):
        session.connection().exec_driver_sql("DELETE FROM log")


def test_an_error_inside_write_undoes_everything(store: Store) -> None:
    def fail_half_way() -> None:
        with store.write() as session:
            session.add(Log(**_columns("log_a")))
            session.flush()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert rows(store, Log) == []


def test_write_inside_write_is_refused_and_the_door_stays_usable(store: Store) -> None:
    with pytest.raises(RuntimeError, match="one transaction"), store.write(), store.write():
        pass
    with pytest.raises(RuntimeError, match="wait for itself"), store.write():
        store.ingest(WORKSPACE, [log("log_a")])
    assert store.ingest(WORKSPACE, [log("log_a")])[0].is_new


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    with store.write() as session:
        session.add(Log(**_columns("log_a")))
        session.flush()
        assert rows(store, Log) == []
    assert len(rows(store, Log)) == 1


def test_subscribers_hear_of_a_commit_only_after_it(store: Store) -> None:
    heard = store.subscribe("logs")
    other = store.subscribe("jobs")
    assert not heard.is_set()
    store.ingest(WORKSPACE, [log("log_a")])
    assert heard.wait(5)
    assert not other.is_set()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://root@localhost/x", "not supported"),
        ("no url at all", "not understood"),
        ("sqlite:////nowhere/at/all/kibitz.db", "does not exist"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_line(url: str, message: str) -> None:
    with pytest.raises(SetupError, match=message) as caught:
        open_store(url)
    assert "\n" not in caught.value.message


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are not rows" * 100)
    with pytest.raises(SetupError, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("these are not rows")


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot use the database"):
        open_store(f"sqlite:///{tmp_path}")


def test_an_unwritable_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "kibitz.db"
    open_store(f"sqlite:///{path}").close()
    path.chmod(0o444)
    with as_nobody(path), pytest.raises(SetupError, match="may write"):
        open_store(f"sqlite:///{path}")


def test_a_postgres_that_does_not_answer_is_one_clear_line() -> None:
    with pytest.raises(SetupError, match="cannot use the database") as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in caught.value.message
    assert "\n" not in caught.value.message


def test_a_newer_schema_is_refused(database_url: str) -> None:
    first = open_store(database_url)
    with first.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    first.close()
    with pytest.raises(NewerSchema, match="newer kibitz"):
        open_store(database_url)


def test_many_openers_at_once_migrate_once(empty_database_url: str) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def open_and_close() -> None:
        try:
            barrier.wait()
            open_store(empty_database_url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_data_is_copied_before_a_migration_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "kibitz.db"
    _make_old_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO key (id, workspace_id, name, role, hash, hint, created_ns)"
            " VALUES ('key_a', 1, 'ci', 'full', 'h', 'k', 1)"
        )
    connection.close()
    open_store(f"sqlite:///{path}").close()
    copies = list(tmp_path.glob("kibitz.db.before-migration-0001-*"))
    assert len(copies) == 1
    with sqlite3.connect(copies[0]) as connection:
        assert connection.execute("SELECT id FROM key").fetchall() == [("key_a",)]
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("0001",)]
    connection.close()


def test_an_old_database_without_data_is_migrated_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "kibitz.db"
    _make_old_database(path)
    open_store(f"sqlite:///{path}").close()
    assert list(tmp_path.glob("*before-migration*")) == []


def _make_old_database(path: Path) -> None:
    url = dialect.read_url(f"sqlite:///{path}")
    dialect.prepare_file(url)
    writing, reading = dialect.make_engines(url, threading.Event())
    migrate(writing, url, "0001")
    writing.dispose()
    reading.dispose()


@contextmanager
def as_nobody(path: Path) -> Iterator[None]:
    """Lay root's rights down for a while (root may write everywhere); the file stays in reach."""
    if os.geteuid() != 0:
        yield
        return
    for folder in path.parents:
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _columns(id_: str) -> dict[str, object]:
    return {
        "seq": 1,
        "workspace_id": WORKSPACE,
        "id": id_,
        "kind": "prompt",
        "name": "x",
        "start_ns": 1,
        "status": "complete",
        "received_ns": 1,
    }


def test_a_database_that_cannot_be_written_is_busy_at_every_door(sqlite_store: Store) -> None:
    with sqlite_store.write() as session:
        session.connection().exec_driver_sql("PRAGMA query_only=ON")
    refused = Rejected(reason="bad", payload=b"{}", signal="span")
    with pytest.raises(Busy, match="readonly"):
        sqlite_store.quarantine(1, [refused])
    with sqlite_store.read() as session, pytest.raises(OverflowError):
        session.connection().exec_driver_sql("SELECT ?", (2**64,))
    with pytest.raises(Invalid, match="larger"), sqlite_store.read() as session:
        session.connection().exec_driver_sql("SELECT ?", (2**64,))


def test_a_deleted_file_is_noticed_and_taken_again_when_it_is_back(
    sqlite_store: Store, tmp_path: Path
) -> None:
    path = Path(str(sqlite_store.url.database))
    sqlite_store.ingest(WORKSPACE, [log("log_a")])
    away = tmp_path / "away"
    path.rename(away)
    with pytest.raises(Busy, match="deleted or replaced"):
        sqlite_store.ingest(WORKSPACE, [log("log_b")])
    with pytest.raises(Busy, match="deleted or replaced"):
        rows(sqlite_store, Log)
    away.rename(path)
    assert sqlite_store.ingest(WORKSPACE, [log("log_b")])[0].is_new
    assert len(rows(sqlite_store, Log)) == 2
