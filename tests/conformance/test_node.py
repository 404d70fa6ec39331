"""The unmodified Node SDK: Files, Logs, calls, pages, decorators, evaluations."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kibitz_collector.demo.model_server import ModelServer
from tests.collector.api.v5 import model_wire
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import DATABASE, IS_SOAK
from tests.conftest import need
from tests.e2e.conftest import clean_environment
from tests.e2e.environments import node_with
from tests.integrations.wire.server import WireServer

PROGRAM = Path(__file__).parent / "programs" / "node.cjs"
SDK = ("humanloop@0.8.20", "openai@4")
SCENARIOS = ("files", "logs", "calls", "pages", "decorators", "evaluate")
DATABASES = (
    [DATABASE] if not IS_SOAK else ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_node_sdk_works(
    scenario: str, database: str, host: Callable[..., Hosted], model: WireServer
) -> None:
    node = shutil.which("node")
    need(node and shutil.which("npm"), "node and npm")
    assert node is not None
    flags = ("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")
    collector = host(*flags)
    with collector.client() as client:
        assert client.post("/api/environments", json={"name": "staging"}).is_success
    with ModelServer() as shop, CheckingProxy(collector.url) as proxy:
        done = subprocess.run(
            [node, PROGRAM, scenario, proxy.url, shop.base_url],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env=clean_environment(NODE_PATH=str(node_with(*SDK))),
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert proxy.exchanges
    assert proxy.problems == []
    if scenario == "pages":
        asked = [one.path for one in proxy.exchanges if "size=3" in one.path]
        assert [("page=" in path) for path in asked] == [False, True, True, True]
