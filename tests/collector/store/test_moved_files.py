"""Files that are moved or deleted while Logs of them arrive."""

import time
from typing import Any

from kibitz_collector.records import FileReference
from kibitz_collector.store import Store
from kibitz_collector.store.queries.files import find_file, get_file, list_versions
from kibitz_collector.store.tables.files import Directory
from kibitz_collector.store.writes.directories import move_file
from kibitz_collector.store.writes.versions import delete_file, delete_version
from tests.collector.store.facts import WORKSPACE, log, rows, stored


def arrive(store: Store, log_id: str, path: str = "a/p", **content: Any) -> str:
    """Store a Log of the File at a path; return the File's id."""
    file = FileReference(kind="prompt", path=path, content=content or {"model": "m"})
    store.ingest(WORKSPACE, [log(log_id, file=file)])
    identity: str = stored(store, log_id)["file_id"]
    return identity


def move(store: Store, file_id: str, path: str) -> None:
    with store.write() as session:
        old = get_file(session, WORKSPACE, file_id).path
        move_file(session, WORKSPACE, file_id, old, path, time.time_ns())


def test_logs_at_the_old_path_are_of_a_new_file(store: Store) -> None:
    moved = arrive(store, "log_a")
    move(store, moved, "b/c/q")
    fresh = arrive(store, "log_b")
    assert fresh != moved
    assert arrive(store, "log_c", "b/c/q") == moved
    assert {row["path"] for row in rows(store, Directory)} == {"a", "b", "b/c"}


def test_logs_of_a_deleted_file_make_it_anew(store: Store) -> None:
    gone = arrive(store, "log_a")
    with store.write() as session:
        delete_file(session, WORKSPACE, get_file(session, WORKSPACE, gone))
    assert arrive(store, "log_b") != gone
    assert stored(store, "log_a")["file_id"] == gone  # a Log outlives its File


def test_logs_of_a_deleted_version_bring_it_back(store: Store) -> None:
    file_id = arrive(store, "log_a")
    arrive(store, "log_b", model="other")
    version = stored(store, "log_a")["version_id"]
    with store.write() as session:
        delete_version(session, get_file(session, WORKSPACE, file_id), version, time.time_ns())
    with store.read() as session:
        assert len(list_versions(session, WORKSPACE, file_id).items) == 1
    arrive(store, "log_c")
    assert stored(store, "log_c")["version_id"] == version
    with store.read() as session:
        assert len(list_versions(session, WORKSPACE, file_id).items) == 2
        file = find_file(session, WORKSPACE, "a/p")
        assert file is not None
        assert file.version_count == 2
