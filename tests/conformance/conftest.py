"""Real processes, as for the end-to-end tests."""

from tests.e2e.conftest import collector, serve

__all__ = ["collector", "serve"]
