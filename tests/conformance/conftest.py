"""Real processes, as for the end-to-end tests, on either database."""

import functools
from collections.abc import Callable

import pytest

from tests.conformance.rigs import DATABASE
from tests.e2e.conftest import Served, collector
from tests.e2e.conftest import serve as serve_on_sqlite

__all__ = ["collector", "serve_on_sqlite"]


@pytest.fixture
def database() -> str:
    """Which database collectors are on; a test's parameter may say otherwise."""
    return DATABASE


@pytest.fixture
def serve(
    serve_on_sqlite: Callable[..., Served], database: str, request: pytest.FixtureRequest
) -> Callable[..., Served]:
    """Start collectors; all are ended with the test."""
    if database == "sqlite":
        return serve_on_sqlite
    url: str = request.getfixturevalue("postgres_url")
    # There is no file to keep a key beside: every collector must be told the same one.
    return functools.partial(serve_on_sqlite, "--database-url", url, "--secret-key", "k" * 40)
