from typing import Any

from kibitz_collector.records import FileReference, FileRegistration
from kibitz_collector.store import Store
from kibitz_collector.store.tables.files import Deployment, Environment, File, Version
from tests.collector.store.facts import WORKSPACE, log, rows, stored


def reference(content: dict[str, Any] | None = None, **fields: Any) -> FileReference:
    return FileReference(
        kind=fields.pop("kind", "agent"), path="support/reply", content=content or {}, **fields
    )


def versions_of(store: Store, *references: FileReference) -> list[str]:
    """Store one Log per reference; return the Version each one got."""
    number = len(rows(store, Version))
    ids = [f"log_{number}_{index}" for index in range(len(references))]
    store.ingest(
        WORKSPACE, [log(id_, file=file) for id_, file in zip(ids, references, strict=True)]
    )
    return [stored(store, id_)["version_id"] for id_ in ids]


def test_a_file_and_its_versions_are_made_by_what_arrives(store: Store) -> None:
    one, same, other = versions_of(
        store,
        reference({"model": "gpt-4o", "temperature": 0.5}),
        reference({"temperature": 0.5, "model": "gpt-4o", "top_p": None}),
        reference({"model": "gpt-4o", "temperature": 0.6}),
    )
    assert one == same != other
    assert [(file["path"], file["name"]) for file in rows(store, File)] == [
        ("support/reply", "reply")
    ]
    assert {version["id"] for version in rows(store, Version)} == {one, other}


def test_a_new_file_is_deployed_to_the_default_environment(store: Store) -> None:
    first, _second = versions_of(store, reference({"model": "a"}), reference({"model": "b"}))
    environment = rows(store, Environment)[0]
    assert (environment["name"], environment["is_default"]) == ("production", True)
    assert [
        (deployment["version_id"], deployment["environment_id"], deployment["ended_ns"])
        for deployment in rows(store, Deployment)
    ] == [(first, environment["id"], None)]


def test_a_reference_without_content_means_the_deployed_version(store: Store) -> None:
    first, silent = versions_of(store, reference({"model": "a"}), reference())
    assert silent == first
    assert len(rows(store, Version)) == 1


def test_a_first_reference_without_content_makes_an_empty_version(store: Store) -> None:
    assert versions_of(store, reference())[0] is not None
    assert rows(store, Version)[0]["content"] == "{}"


def test_a_version_named_by_the_sender_is_used_when_it_exists(store: Store) -> None:
    first, second = versions_of(store, reference({"model": "a"}), reference({"model": "b"}))
    assert versions_of(store, reference(version_id=second)) == [second]
    assert first != second


def test_an_unknown_version_id_is_kept_for_new_content_only(store: Store) -> None:
    foreign = versions_of(store, reference({"model": "a"}, version_id="prv_foreign"))
    assert foreign == ["prv_foreign"]
    assert versions_of(store, reference({"model": "a"}, version_id="prv_other")) == ["prv_foreign"]


def test_another_kind_of_thing_at_the_same_path_gets_a_place_beside_it(store: Store) -> None:
    versions_of(store, reference({"model": "a"}), reference(kind="tool"), reference(kind="tool"))
    assert {(file["kind"], file["path"]) for file in rows(store, File)} == {
        ("agent", "support/reply"),
        ("tool", "support/reply (tool)"),
    }


def test_registering_is_idempotent_and_agrees_with_what_arrives(store: Store) -> None:
    registration = FileRegistration(
        kind="evaluator",
        path="support/is_polite",
        content={"evaluator_type": "code", "code": "def f(log):\n    return True"},
    )
    first = store.register_file(WORKSPACE, registration)
    assert store.register_file(WORKSPACE, registration) == first
    store.ingest(
        WORKSPACE,
        [
            log(
                "log_a",
                kind="evaluator",
                file=FileReference(
                    kind="evaluator", path="support/is_polite", content=registration.content
                ),
            )
        ],
    )
    row = stored(store, "log_a")
    assert (row["file_id"], row["version_id"]) == first


def test_the_same_path_in_two_workspaces_is_two_files(store: Store) -> None:
    registration = FileRegistration(kind="flow", path="a", content={})
    assert store.register_file(1, registration)[0] != store.register_file(2, registration)[0]
