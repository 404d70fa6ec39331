import pytest

from kibitz_collector.errors import Conflict, NotFound
from kibitz_collector.store import Store
from kibitz_collector.store.queries.keys import active_keys, find_key_by_hash, list_keys
from kibitz_collector.store.writes.keys import create_key, revoke_key


def make(store: Store, key_hash: str, workspace_id: int = 1) -> str:
    with store.write() as session:
        return create_key(
            session, workspace_id, name="ci", role="ingest", key_hash=key_hash, hint="kbz…"
        )


def test_a_key_is_found_by_its_hash_until_it_is_revoked(store: Store) -> None:
    key_id = make(store, "h1")
    with store.read() as session:
        found = find_key_by_hash(session, "h1")
        assert found is not None
        assert (found.id, found.role, found.name, found.workspace_id) == (key_id, "ingest", "ci", 1)
    with store.write() as session:
        revoke_key(session, 1, key_id)
        revoke_key(session, 1, key_id)
    with store.read() as session:
        assert find_key_by_hash(session, "h1") is None
        assert active_keys(session) == []
        assert [key.revoked_ns is not None for key in list_keys(session, 1)] == [True]


def test_keys_of_another_workspace_are_not_seen_and_not_revoked(store: Store) -> None:
    key_id = make(store, "h1", workspace_id=2)
    with store.read() as session:
        assert list_keys(session, 1) == []
    with pytest.raises(NotFound, match="no key"), store.write() as session:
        revoke_key(session, 1, key_id)


def test_the_same_hash_twice_is_a_conflict(store: Store) -> None:
    make(store, "h1")
    with pytest.raises(Conflict):
        make(store, "h1")
