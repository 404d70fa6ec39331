"""For the SDK's tests: our own errors are not swallowed; `spans` is what would be sent."""

from collections.abc import Iterator

import pytest

from kibitz import _evaluators, _guard, _runtime
from kibitz.testing import spans

__all__ = ["spans"]


@pytest.fixture(autouse=True)
def own_errors_are_raised() -> Iterator[None]:
    _guard.set_strict(True)
    yield
    _guard.set_strict(False)


@pytest.fixture(autouse=True)
def evaluators_are_forgotten() -> Iterator[None]:
    """Those a test declares would be told to every later test's runtime."""
    hooks, in_app = list(_runtime._on_install), list(_evaluators._in_app)
    yield
    _runtime._on_install[:] = [
        hook
        for hook in _runtime._on_install
        if hook in hooks or hook.__module__ != _evaluators.__name__
    ]
    _evaluators._in_app[:] = in_app
