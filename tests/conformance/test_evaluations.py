"""Evaluations and their runs through the unmodified Humanloop SDK, every answer checked."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.api.v5 import model_wire
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import NEW, Rig, turns
from tests.conformance.runner import Runner
from tests.e2e.conftest import Served
from tests.integrations.wire.server import Reply, Request, WireServer

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
def calling(host: Callable[..., Hosted], model: WireServer) -> Hosted:
    """A collector that calls the local model."""
    return host("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")


def drive(runner: Runner, rig: Rig, scenario: str, proxy: CheckingProxy) -> None:
    ids = "lost" if rig is NEW else "kept"
    done = runner.run(rig, PROGRAM, scenario, proxy.url, ids)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert proxy.exchanges
    assert proxy.problems == []


@pytest.mark.parametrize(
    ("rig", "database", "scenario"), turns(SCENARIOS, few=("33", "collector", "decorated"))
)
def test_evaluations_through_the_sdk(
    rig: Rig, database: str, scenario: str, calling: Hosted, runner: Runner
) -> None:
    with CheckingProxy(calling.url) as proxy:
        drive(runner, rig, scenario, proxy)


def test_a_run_ends_though_its_local_evaluators_are_never_told(
    calling: Hosted, runner: Runner
) -> None:
    with CheckingProxy(calling.url) as proxy:
        drive(runner, NEW, "lost", proxy)


def test_a_killed_collector_takes_up_its_run_and_doubles_nothing(
    serve: Callable[..., Served], model: WireServer, tmp_path: Path
) -> None:
    asked, is_stuck, is_over = threading.Semaphore(12), threading.Event(), threading.Event()

    def answer(request: Request) -> Reply:
        if not asked.acquire(blocking=False):
            is_stuck.set()
            is_over.wait(60)
        return model_wire.answer(request)

    model.script = answer
    flags = ("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")
    flags += ("--job-lease-s", "2")
    first = serve(*flags, database=tmp_path / "run.db")
    with first.client() as client:
        evaluation = begin_run(client)
        assert is_stuck.wait(60)
    first.process.kill()
    first.process.wait()
    is_over.set()
    second = serve(*flags, database=tmp_path / "run.db")
    with second.client() as client:
        stats = wait_for(client, evaluation)
        logs = client.get(f"/v5/evaluations/{evaluation}/logs", params={"size": 100}).json()
    (run,) = stats["run_stats"]
    (judged,) = run["evaluator_stats"]
    assert (run["num_logs"], judged["total_logs"], judged["num_true"]) == (30, 30, 30)
    assert len({one["datapoint"]["id"] for one in logs["records"]}) == logs["total"] == 30
    assert all(len(one["evaluator_logs"]) == 1 for one in logs["records"])
    said = [request.body["messages"][-1]["content"] for request in model.requests]
    assert len(set(said)) == 30
    assert 30 <= len(said) <= 30 + 5  # what was under way when it was killed, at the most


def begin_run(client: httpx.Client) -> str:
    """Let the collector call a Prompt for thirty datapoints; returns the evaluation."""

    def make(where: str, **body: Any) -> Any:
        answer = client.post(f"/v5/{where}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    code = "def f(log, testcase):\n    return log['output'] == testcase['target']['a']\n"
    spec = {
        "arguments_type": "target_required",
        "return_type": "boolean",
        "evaluator_type": "python",
        "code": code,
    }
    template = [{"role": "user", "content": "{{q}}"}]
    prompt = make("prompts", path="p", model="gpt-4o", template=template)
    points = [{"inputs": {"q": f"q{n}"}, "target": {"a": f"you said q{n}"}} for n in range(30)]
    dataset = make("datasets", path="d", datapoints=points)
    make("evaluators", path="exact", spec=spec)
    evaluation = make("evaluations", file={"id": prompt["id"]}, evaluators=[{"path": "exact"}])
    version, data = {"version_id": prompt["version_id"]}, {"version_id": dataset["version_id"]}
    make(f"evaluations/{evaluation['id']}/runs", version=version, dataset=data)
    evaluation_id: str = evaluation["id"]
    return evaluation_id


def wait_for(client: httpx.Client, evaluation: str) -> Any:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        stats = client.get(f"/v5/evaluations/{evaluation}/stats").json()
        if stats["status"] == "completed":
            return stats
        time.sleep(0.1)
    raise AssertionError(f"it is not completed: {stats}")
