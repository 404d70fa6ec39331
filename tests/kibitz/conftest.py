"""For the SDK's tests: our own errors are not swallowed; `spans` is what would be sent."""

from collections.abc import Iterator

import pytest

from kibitz import _guard
from kibitz.testing import spans

__all__ = ["spans"]


@pytest.fixture(autouse=True)
def own_errors_are_raised() -> Iterator[None]:
    _guard.set_strict(True)
    yield
    _guard.set_strict(False)
