"""Evaluations and their runs through the unmodified Humanloop SDK, every answer checked."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.api.v5 import model_wire
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import NEW, Rig, turns
from tests.e2e.conftest import Served, clean_environment
from tests.integrations.wire.server import WireServer

PROGRAM = Path(__file__).parent / "programs" / "evaluations.py"
SCENARIOS = {
    "32": "a function with a local evaluator",
    "33": "the same name again",
    "36": "runs and Evaluators that come and go",
    "collector": "a Prompt called by the collector",
    "decorated": "a decorated function",
    "types": "judgments of every type",
    "failures": "what is refused",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def calling(serve: Callable[..., Served], model: WireServer) -> Served:
    """A collector that calls the local model."""
    return serve("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")


def drive(rig: Rig, scenario: str, proxy: CheckingProxy) -> None:
    ids = "lost" if rig is NEW else "kept"
    done = subprocess.run(
        [rig.python, PROGRAM, scenario, proxy.url, ids],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert proxy.exchanges
    assert proxy.problems == []


@pytest.mark.parametrize(
    ("rig", "database", "scenario"), turns(SCENARIOS, few=("33", "collector", "decorated"))
)
def test_evaluations_through_the_sdk(
    rig: Rig, database: str, scenario: str, calling: Served
) -> None:
    with CheckingProxy(calling.url) as proxy:
        drive(rig, scenario, proxy)


def test_a_run_ends_though_its_local_evaluators_are_never_told(calling: Served) -> None:
    with CheckingProxy(calling.url) as proxy:
        drive(NEW, "lost", proxy)
