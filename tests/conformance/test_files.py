"""Files, Versions, deployments and Datasets through the unmodified Humanloop SDK."""

from pathlib import Path

import pytest

from tests.conformance.contract import contract, find_operation
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import Rig, turns
from tests.conformance.runner import Runner

PROGRAM = Path(__file__).parent / "programs" / "files.py"
SCENARIOS = {
    "1": "equal content is one version",
    "2": "deployments",
    "5": "a moved File",
    "7": "pages",
    "9": "datasets",
    "texts": "kernels as text",
    "all": "every operation",
}
FILE_GROUPS = ("prompts", "tools", "flows", "agents", "evaluators", "datasets")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(runner: Runner, rig: Rig, scenario: str, collector: Hosted) -> CheckingProxy:
    """Run a scenario; no answer in it may break the contract."""
    with collector.client() as client:
        assert client.post("/api/environments", json={"name": "staging"}).is_success
    with CheckingProxy(collector.url) as proxy:
        done = runner.run(rig, PROGRAM, scenario, proxy.url)
    assert done.returncode == 0, done.stderr
    assert proxy.exchanges
    assert proxy.problems == []
    return proxy


@pytest.mark.parametrize(("rig", "database", "scenario"), turns(SCENARIOS, few=("1", "all")))
def test_files_through_the_sdk(
    rig: Rig, database: str, scenario: str, hosted: Hosted, runner: Runner
) -> None:
    proxy = run(runner, rig, scenario, hosted)
    if scenario == "7":
        asked = [one.path for one in proxy.exchanges if one.path.endswith("size=10")]
        assert asked == [f"/prompts?page={page}&size=10" for page in (1, 2, 3, 4)]
        assert b'"records":[]' in next(x.answer for x in proxy.exchanges if "page=4" in x.path)
    if scenario == "all":
        called = {_operation(one.method, one.path) for one in proxy.exchanges if one.status < 400}
        assert wanted() - called == set()


def wanted() -> set[str]:
    """Return the operations that Files of all types have, and those on directories."""
    elsewhere = ("/log", "/call", "/continue", "serialize", "populate", "datapoints", "variables")
    return {
        operation["operationId"]
        for path, operations in contract()["paths"].items()
        for operation in operations.values()
        if path.split("/")[1] in (*FILE_GROUPS, "directories", "files")
        and not any(part in path for part in elsewhere)
    }


def _operation(method: str, path: str) -> str:
    operation = find_operation(method, path.partition("?")[0])
    return operation["operationId"] if operation else ""
