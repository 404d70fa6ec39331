"""Evaluators of all types through the unmodified Humanloop SDK, every answer checked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.evaluate.judges import last_message, said
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import Rig, turns
from tests.conformance.runner import Runner
from tests.integrations.wire.server import Reply, Request, WireServer

PROGRAM = Path(__file__).parent / "programs" / "evaluators.py"
SCENARIOS = {
    "judges": "judges that ask a model",
    "feedback": "what people say",
    "specs": "values that a spec allows",
    "monitors": "what judges on arrival",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def say(request: Request) -> Reply:
    """Answer with what stands after `say `; ` / ` ends a line."""
    return said(last_message(request).partition("say ")[2].replace(" / ", "\n"))


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(say)
    yield server
    server.close()


@pytest.fixture
def judging(host: Callable[..., Hosted], model: WireServer) -> Hosted:
    """A collector whose judges ask the local model."""
    return host("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")


@pytest.mark.parametrize(("rig", "database", "scenario"), turns(SCENARIOS, few=("judges",)))
def test_evaluators_through_the_sdk(
    rig: Rig, database: str, scenario: str, judging: Hosted, runner: Runner
) -> None:
    with CheckingProxy(judging.url) as proxy:
        done = runner.run(rig, PROGRAM, scenario, proxy.url)
    assert done.returncode == 0, done.stderr
    assert proxy.exchanges
    assert [problem for one in proxy.exchanges for problem in one.problems] == []
