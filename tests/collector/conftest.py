"""A fresh store per test: SQLite always, PostgreSQL where a server can be had (required in CI)."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kibitz_collector.store import Store, open_store
from tests.collector.postgres_server import find_binaries, running_server

BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
_names = (f"kibitz_{os.getpid()}_{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server, with {} for the database's name."""
    given = os.environ.get("KIBITZ_TEST_POSTGRES_URL")
    if given:
        head, _, tail = given.partition("?")
        yield f"{head.rpartition('/')[0]}/{{}}" + (f"?{tail}" if tail else "")
        return
    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is required in CI: install it or set KIBITZ_TEST_POSTGRES_URL")
        pytest.skip("no PostgreSQL server here")
    with running_server(binaries) as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = next(_names)
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres.format(name)
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'kibitz.db'}"


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A fresh store, on each kind of database in turn."""
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """A fresh store on SQLite only, for tests that are not about the database."""
    opened = open_store(sqlite_url)
    yield opened
    opened.close()
