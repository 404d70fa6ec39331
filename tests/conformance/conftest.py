"""Collectors on either database: in this process, and real ones to be killed or put under load."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conformance.hosted import Hosted, hosting
from tests.conformance.rigs import DATABASE
from tests.conformance.runner import runner
from tests.e2e.conftest import Served, collector
from tests.e2e.conftest import serve as serve_on_sqlite

__all__ = ["collector", "runner", "serve_on_sqlite"]


@pytest.fixture
def database() -> str:
    """Which database collectors are on; a test's parameter may say otherwise."""
    return DATABASE


@pytest.fixture
def flags(database: str, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What puts a collector on that database."""
    url: str = request.getfixturevalue(f"{database}_url")
    # On PostgreSQL is no file to keep a key beside: every collector must be told the same one.
    return ("--database-url", url, "--secret-key", "k" * 40)


@pytest.fixture
def host(flags: tuple[str, ...]) -> Iterator[Callable[..., Hosted]]:
    """Start collectors in this process; all are ended with the test."""
    with ExitStack() as stack:
        yield lambda *more: stack.enter_context(hosting(*flags, *more))


@pytest.fixture
def hosted(host: Callable[..., Hosted]) -> Hosted:
    """One collector in this process with default settings."""
    return host()


@pytest.fixture
def serve(
    serve_on_sqlite: Callable[..., Served], database: str, request: pytest.FixtureRequest
) -> Callable[..., Served]:
    """Start collectors in processes of their own; all are ended with the test."""
    if database == "sqlite":
        return serve_on_sqlite
    return functools.partial(serve_on_sqlite, *request.getfixturevalue("flags"))
