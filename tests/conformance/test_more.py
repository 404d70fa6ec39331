"""What else the unmodified SDK can do: async, raw answers, errors, filters, CSV, directories."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.api.v5 import model_wire
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import Rig, turns
from tests.conformance.runner import Runner
from tests.conformance.test_calls import problems
from tests.integrations.wire.server import WireServer

PROGRAM = Path(__file__).parent / "programs" / "more.py"
SCENARIOS = {
    "async": "an async client",
    "raw": "raw answers",
    "errors": "every refusal",
    "filters": "filters of Logs",
    "types": "Logs of all types",
    "datasets": "CSV files",
    "directories": "directories",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("rig", "database", "scenario"), turns(SCENARIOS, few=("async", "filters"))
)
def test_more_through_the_sdk(
    rig: Rig,
    database: str,
    scenario: str,
    host: Callable[..., Hosted],
    model: WireServer,
    runner: Runner,
) -> None:
    collector = host("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")
    with CheckingProxy(collector.url) as proxy:
        done = runner.run(rig, PROGRAM, scenario, proxy.url)
    assert done.returncode == 0, done.stderr
    assert proxy.exchanges
    assert [problem for one in proxy.exchanges for problem in problems(one)] == []
