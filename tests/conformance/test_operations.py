"""Each of the contract's operations over HTTP: a success and its main failure, both checked."""

import os
import re
from collections.abc import Iterator

import psycopg
import pytest
from fastapi.testclient import TestClient

from kibitz_collector.access.keys import make_key
from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.store import open_store
from kibitz_collector.store.writes import deployments, keys
from tests.collector.api.v5 import model_wire
from tests.collector.api.v5.conftest import check_answer
from tests.conformance.contract import contract, find_operation
from tests.conformance.operations import KINDS, OPERATIONS, Ask, World
from tests.conformance.rigs import DATABASE
from tests.integrations.wire.server import WireServer

WORKSPACE = 1


@pytest.fixture(scope="module")
def module_database_url(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of an empty database for all tests of this file."""
    if DATABASE == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('operations') / 'kibitz.db'}"
        return
    server: str = request.getfixturevalue("postgres")
    name = f"kibitz_operations_{os.getpid()}"
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield server.format(name)
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    model = WireServer(model_wire.answer)
    settings = Settings(
        database_url=module_database_url,
        secret_key="k" * 40,
        openai_base_url=f"{model.url}/v1",
        openai_api_key="sk-test",
        alert=False,
    )
    store, key = open_store(settings.database_url), make_key()
    with store.write() as session:
        deployments.create_environment(session, WORKSPACE, "staging")
        keys.create_key(
            session, WORKSPACE, name="Ada", role="full", key_hash=key.hash, hint=key.hint
        )
    headers = {"X-API-KEY": key.text}
    app = create_app(settings, store)
    with TestClient(app, base_url="http://localhost/v5/", headers=headers) as client:
        client.event_hooks["response"].append(check_answer)
        yield World(client)
    store.close()
    model.close()


def send(world: World, ask: Ask, operation: str) -> None:
    path = ask.path.partition("?")[0]
    found = find_operation(ask.method, f"/{path}")
    assert found is not None
    assert found["operationId"] == operation
    answer = world.client.request(ask.method, ask.path, json=ask.body, **ask.more)
    assert answer.status_code == ask.status, answer.text


def test_the_table_has_every_operation() -> None:
    known = {one["operationId"] for item in contract()["paths"].values() for one in item.values()}
    assert len(known) == 119
    assert OPERATIONS.keys() == known


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_operation_succeeds_and_fails_as_the_contract_says(operation: str, world: World) -> None:
    succeed, fail = OPERATIONS[operation]
    send(world, succeed(world), operation)
    send(world, fail(world), operation)


def test_the_answer_tells_which_key_made_a_version(world: World) -> None:
    for group in KINDS:
        file = world.file(group)
        maker = file["created_by"]
        assert (maker["full_name"], maker["email_address"]) == ("Ada", "")
        assert re.fullmatch(r"usr_[0-9A-Za-z]{21}", maker["id"])
        listed = world.ask("GET", f"{group}?user_filter=aD&size=100")["records"]
        assert file["id"] in {one["id"] for one in listed}
        assert world.ask("GET", f"{group}?user_filter=nobody")["total"] == 0
