"""A fresh store per test: SQLite always, PostgreSQL where a server can be had (required in CI)."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from kibitz_collector.store import Store, open_store
from tests.postgres_server import find_binaries, running_server

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


@contextmanager
def _database(postgres: str, template: str = "template1") -> Iterator[str]:
    name = next(_names)
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield name
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> Iterator[str]:
    """The name of a database that has its schema: copying it is quicker than migrating."""
    with _database(postgres) as name:
        open_store(postgres.format(name)).close()
        yield name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that has its schema."""
    path = tmp_path_factory.mktemp("template") / "kibitz.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def postgres_url(postgres: str, postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without data."""
    with _database(postgres, postgres_template) as name:
        yield postgres.format(name)


@pytest.fixture(scope="module")
def module_postgres_url(postgres: str, postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database that a module's tests share."""
    with _database(postgres, postgres_template) as name:
        yield postgres.format(name)


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """The URL of a SQLite file without data."""
    path = tmp_path / "kibitz.db"
    shutil.copyfile(sqlite_template, path)
    path.chmod(sqlite_template.stat().st_mode)
    return f"sqlite:///{path}"


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without data, of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def empty_postgres_url(postgres: str) -> Iterator[str]:
    """The URL of a PostgreSQL database that has no tables yet."""
    with _database(postgres) as name:
        yield postgres.format(name)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'kibitz.db'}"


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database in which nothing was made yet, of each kind in turn."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
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
