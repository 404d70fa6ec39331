"""What is there without being asked for: the Evaluators with which people judge Prompts."""

import orjson
import pytest

from kibitz_collector.errors import Conflict
from kibitz_collector.files.kinds.evaluator import DEFAULT_EVALUATORS
from kibitz_collector.records import FileReference, FileRegistration, Judgment, LogRecord
from kibitz_collector.store import Store
from kibitz_collector.store.tables.files import Deployment, Environment, File, Version
from kibitz_collector.store.tables.jobs import Job, Monitor
from kibitz_collector.store.writes.defaults import give_place
from kibitz_collector.store.writes.imports import ImportedFile, place_file
from tests.collector.store.facts import WORKSPACE, log, model_call, rows, stored


def rating(value: str = "good") -> LogRecord:
    """Return a judgment whose sender says nothing of its Evaluator."""
    judgment = Judgment(judged_log_id="log_a", return_type="select", labels=[value])
    return log(
        "log_j",
        kind="evaluator",
        parent_id="log_a",
        file=FileReference(kind="evaluator", path="rating"),
        judgment=judgment,
    )


def files_by_path(store: Store) -> dict[str, str]:
    return {file["path"]: file["id"] for file in rows(store, File)}


def test_new_prompts_are_judged_by_people_and_make_no_jobs(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a"), model_call("log_b")])
    (environment,) = rows(store, Environment)
    files = files_by_path(store)
    monitors = sorted(rows(store, Monitor), key=lambda one: one["created_ns"])
    assert [
        (m["evaluator_id"], m["file_path"], m["environment_id"], m["is_active"], m["origin"])
        for m in monitors
    ] == [
        (files[name], "support/reply", environment["id"], True, "default")
        for name in ("rating", "correction")
    ]
    deployed = {one["file_id"]: one["version_id"] for one in rows(store, Deployment)}
    assert all(m["version_id"] == deployed[m["evaluator_id"]] for m in monitors)
    contents = [orjson.loads(v["content"]) for v in rows(store, Version)]
    assert all(content in contents for content in DEFAULT_EVALUATORS.values())
    assert rows(store, Job) == []


def test_workspaces_have_their_own(store: Store) -> None:
    store.ingest(1, [model_call("log_a")])
    store.ingest(2, [model_call("log_a")])
    assert sorted(file["path"] for file in rows(store, File, 2)) == [
        "correction",
        "rating",
        "support/reply",
    ]
    assert len(rows(store, Monitor, 2)) == 2


def test_first_rating_without_a_word_of_its_evaluator_makes_the_known_one(store: Store) -> None:
    store.ingest(WORKSPACE, [rating()])
    (version,) = rows(store, Version)
    assert orjson.loads(version["content"]) == DEFAULT_EVALUATORS["rating"]
    assert stored(store, "log_j")["version_id"] == version["id"]
    store.ingest(WORKSPACE, [model_call("log_a")])
    used = {one["evaluator_id"] for one in rows(store, Monitor)}
    assert used == {files_by_path(store)[name] for name in ("rating", "correction")}


@pytest.mark.parametrize("kind", ["tool", "evaluator"])
def test_what_is_called_rating_and_is_not_peoples_is_left_alone(store: Store, kind: str) -> None:
    content = {"evaluator_type": "code", "code": "def f(log): return True"}
    registration = FileRegistration(kind=kind, path="rating", content=content)  # type: ignore[arg-type]
    store.register_file(WORKSPACE, registration)
    store.ingest(WORKSPACE, [model_call("log_a")])
    (monitor,) = rows(store, Monitor)
    assert monitor["evaluator_id"] == files_by_path(store)["correction"]


def test_unused_default_gives_its_place_with_all_that_hangs_on_it(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a")])
    with store.write() as session:
        assert give_place(session.connection(), WORKSPACE, "rating", "ev_foreign")
        assert not give_place(session.connection(), WORKSPACE, "support/reply", "pr_foreign")
    assert files_by_path(store)["rating"] == "ev_foreign"
    for model, column in ((Version, "file_id"), (Deployment, "file_id"), (Monitor, "evaluator_id")):
        assert [row[column] for row in rows(store, model)].count("ev_foreign") == 1


def test_default_that_was_used_keeps_its_place(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a"), rating()])
    with store.write() as session:
        assert not give_place(session.connection(), WORKSPACE, "rating", "ev_foreign")
    assert files_by_path(store)["rating"] != "ev_foreign"


def test_imported_evaluator_takes_the_place_of_an_unused_default(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a")])
    imported = ImportedFile(
        id="ev_there", kind="evaluator", path="rating", readme="ours", created_ns=1, updated_ns=2
    )
    with store.write() as session:
        assert place_file(session, WORKSPACE, imported)
        assert not place_file(session, WORKSPACE, imported)
    assert files_by_path(store)["rating"] == "ev_there"
    (file,) = (one for one in rows(store, File) if one["id"] == "ev_there")
    assert (file["readme"], file["created_ns"], file["name"]) == ("ours", 1, "rating")
    judgment = rating()
    store.ingest(WORKSPACE, [judgment])
    assert stored(store, "log_j")["file_id"] == "ev_there"
    other = ImportedFile(id="ev_other", kind="evaluator", path="rating", created_ns=1, updated_ns=2)
    with store.write() as session, pytest.raises(Conflict, match="is taken by ev_there"):
        place_file(session, WORKSPACE, other)
