"""Scenarios about Logs, driven through the unmodified SDK in an environment of its own.

Arguments: scenario, base URL of /v5, base URL of the model server. Exits with an error when
something is not as it should be.
"""

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import openai
from humanloop import Humanloop
from humanloop.otel.exporter import HumanloopSpanExporter
from humanloop.types import FlowLogResponse, PromptLogResponse

CREATED = datetime(2024, 7, 19, 0, 29, 35, 178992, tzinfo=UTC)
PROMPT = {
    "model": "gpt-4",
    "template": [{"role": "system", "content": "You are {{person}}."}],
}


def log_a_prompt(client: Humanloop, model_url: str) -> None:
    """README sample: every field comes back unchanged."""
    sent: dict[str, Any] = {
        "messages": [{"role": "user", "content": "What happened?"}],
        "inputs": {"person": "Ada"},
        "output_message": {"role": "assistant", "content": "well"},
        "prompt_tokens": 100,
        "output_tokens": 220,
        "prompt_cost": 0.00001,
        "output_cost": 0.0002,
        "finish_reason": "stop",
        "provider_latency": 6.5931549072265625,
    }
    made = client.prompts.log(path="persona", prompt=PROMPT, created_at=CREATED, **sent)
    assert all((made.id, made.prompt_id, made.version_id))
    log = client.logs.get(made.id)
    assert isinstance(log, dict), type(log)
    for name, value in sent.items():
        found = log[name]
        if name in ("messages", "output_message"):
            found = without_nulls(found)
        assert found == value, (name, found)
    assert datetime.fromisoformat(log["created_at"].replace("Z", "+00:00")) == CREATED
    listed = list(client.logs.list(file_id=made.prompt_id))
    assert [one.id for one in listed] == [made.id]
    assert isinstance(listed[0], PromptLogResponse), type(listed[0])
    assert listed[0].prompt.version_id == made.version_id
    assert listed[0].created_at == CREATED


def choose_a_version(client: Humanloop, model_url: str) -> None:
    """The query's environment picks the version; the body's is a label."""
    first = client.prompts.upsert(path="p", **PROMPT)
    second = client.prompts.upsert(path="p", model="gpt-4o-mini")
    assert first.version_id != second.version_id
    environments = {e.name: e.id for e in client.prompts.list_environments(first.id)}
    client.prompts.set_deployment(first.id, environments["staging"], version_id=second.version_id)
    made = client.prompts.log(
        path="p", environment="staging", prompt_log_request_environment="production", output="x"
    )
    assert made.version_id == second.version_id
    assert client.logs.get(made.id)["environment"] == "production"
    assert client.prompts.log(path="p", output="x").version_id == first.version_id


def change_a_log(client: Humanloop, model_url: str) -> None:
    """Null clears, omitted stays."""
    made = client.prompts.log(path="p", prompt=PROMPT, output="old", inputs={"a": "b"}, stdout="s")
    client.prompts.update_log(made.prompt_id, made.id, output=None, error="x")
    log = client.logs.get(made.id)
    assert log["output"] is None
    assert (log["error"], log["inputs"], log["stdout"]) == ("x", {"a": "b"}, "s")


def trace_by_hand(client: Humanloop, model_url: str) -> None:
    """A flow opened, filled and completed by hand."""
    flow = client.flows.log(
        path="f", flow={"attributes": {"a": 1}}, inputs={"q": "1"}, log_status="incomplete"
    )
    prompt = client.prompts.log(path="p", prompt=PROMPT, trace_parent_id=flow.id, output="a")
    tool = client.tools.log(path="t", trace_parent_id=prompt.id, output="b", inputs={"x": 1})
    done = client.flows.update_log(flow.id, log_status="complete", output="c")
    assert isinstance(done, FlowLogResponse), type(done)
    log = client.logs.get(flow.id)
    assert log["log_status"] == "complete"
    assert log["end_time"] is not None
    (child,) = log["trace_children"]
    (grandchild,) = child["trace_children"]
    assert (child["id"], grandchild["id"]) == (prompt.id, tool.id)
    assert len({one["trace_id"] for one in (log, child, grandchild)}) == 1
    listed = list(
        client.logs.list(file_id=flow.flow_id, include_trace_children=True, in_trace_filter=[True])
    )
    assert [one.id for one in listed] == [flow.id]
    assert [one.id for one in listed[0].trace_children] == [prompt.id]
    client.logs.delete(id=[flow.id, tool.id])
    assert list(client.logs.list(file_id=flow.flow_id)) == []


def nested_decorators(client: Humanloop, model_url: str) -> None:
    """A flow with two tools, one raising, and a prompt: one trace."""
    provider = openai.OpenAI(api_key="test", base_url=model_url, max_retries=0)

    @client.tool(path="demo/calculator")
    def calculator(operation: str, num1: int, num2: int | None = None, exact: bool = True) -> int:
        """Do arithmetic."""
        if operation == "boom":
            raise ValueError("bad op")
        return num1 + (num2 or 0)

    @client.prompt(path="demo/prompt")
    def ask(question: str) -> str:
        answer = provider.chat.completions.create(
            model="gpt-4o-mini",
            temperature=0.7,
            max_tokens=50,
            messages=[{"role": "user", "content": question}],
        )
        return answer.choices[0].message.content or ""

    @client.flow(path="demo/flow", attributes={"version": "v1"})
    def run(question: str) -> str:
        calculator("add", 2, 2, exact=False)
        with suppress(Exception):
            calculator("boom", 1)
        return ask(question)

    said = run("When do you open?")
    (flow,) = wait_for(client, "flow", "demo/flow", 1)
    log = client.logs.get(flow.id)
    assert (log["log_status"], log["output"]) == ("complete", said)
    assert log["inputs"] == {"question": "When do you open?"}
    children = log["trace_children"]
    kinds = sorted(k for c in children for k in ("prompt", "tool", "flow") if k in c)
    assert kinds == ["prompt", "tool", "tool"], kinds
    prompt = next(c for c in children if "prompt" in c)
    settings = {k: prompt["prompt"][k] for k in ("model", "temperature", "max_tokens", "path")}
    assert settings == {
        "model": "gpt-4o-mini",
        "temperature": 0.7,
        "max_tokens": 50,
        "path": "demo/prompt",
    }, settings
    assert prompt["output_message"]["content"] == said
    tools = sorted((c for c in children if "tool" in c), key=lambda c: c["start_time"])
    assert tools[0]["inputs"] == {
        "operation": "add",
        "num1": 2,
        "num2": 2,
        "exact": False,
    }, tools[0]["inputs"]
    assert (tools[0]["output"], tools[1]["error"]) == ("4", "bad op")
    parameters = tools[0]["tool"]["function"]["parameters"]
    assert parameters["required"] == ["operation", "num1", "exact"], parameters
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["num2"]["type"] == ["integer", "null"], parameters
    assert tools[0]["tool"]["function"]["strict"] is True


def flow_outcomes(client: Humanloop, model_url: str) -> None:
    """A message, an error, a flow in a flow."""

    @client.flow(path="demo/message")
    def speak(x: str) -> Any:
        return {"role": "assistant", "content": f"hi {x}"}

    @client.flow(path="demo/broken")
    def fail(x: str) -> str:
        raise ValueError("kaput")

    @client.flow(path="demo/outer")
    def outer(x: str) -> str:
        speak(x)
        return "done"

    outer("z")
    with suppress(Exception):
        fail("z")
    (message,) = wait_for(client, "flow", "demo/message", 1)
    (whole,) = wait_for(client, "flow", "demo/outer", 1)
    (broken,) = wait_for(client, "flow", "demo/broken", 1)
    assert without_nulls(message.output_message.dict()) == {"role": "assistant", "content": "hi z"}
    assert message.trace_parent_id == whole.id
    assert (broken.error, broken.output) == ("kaput", None), (broken.error, broken.output)


def direct_calls_in_a_flow(client: Humanloop, model_url: str) -> None:
    """What is logged by hand inside decorated flows is in their trace."""

    @client.flow(path="demo/inner")
    def inner(x: str) -> str:
        client.tools.log(path="demo/tool", tool={}, inputs={"x": x}, output="t")
        return x

    @client.flow(path="demo/outer")
    def outer(x: str) -> str:
        client.prompts.log(path="demo/prompt", prompt=PROMPT, output="p")
        return inner(x)

    outer("z")
    (whole,) = wait_for(client, "flow", "demo/outer", 1)
    wait_for(client, "flow", "demo/inner", 1)
    log = client.logs.get(whole.id)
    prompt, flow = sorted(log["trace_children"], key=lambda child: "flow" in child)
    assert prompt["output"] == "p"
    assert flow["flow"]["path"] == "demo/inner"
    (tool,) = flow["trace_children"]
    assert tool["output"] == "t"
    assert {one["trace_id"] for one in (prompt, flow, tool)} == {log["trace_id"]}


def many_threads(client: Humanloop, model_url: str) -> None:
    """500 decorated calls from 8 threads; the process ends at once."""

    @client.tool(path="load/tool")
    def work(n: int) -> str:
        return str(n)

    @client.flow(path="load/flow")
    def run(n: int) -> str:
        return work(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(250)))
    # Its one thread sends span by span, and gives up 5 s after the end: fewer on a busy machine.
    (exporter,) = (one for one in gc.get_objects() if type(one) is HumanloopSpanExporter)
    while exporter._upload_queue.qsize() > 10:
        time.sleep(0.01)


def wait_for(client: Humanloop, kind: str, path: str, count: int) -> list[Any]:
    """Return the complete Logs of a File, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        logs: list[Any] = []
        with suppress(Exception):
            file = client.files.retrieve_by_path(path=path)
            logs = [one for one in client.logs.list(file_id=file.id, size=50)]
        if len(logs) >= count and all(one.log_status == "complete" for one in logs):
            return logs
        assert time.monotonic() < deadline, f"only {logs} at {path}"
        time.sleep(0.1)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


SCENARIOS = {
    "12": log_a_prompt,
    "17": choose_a_version,
    "20": change_a_log,
    "21": trace_by_hand,
    "26": nested_decorators,
    "29": flow_outcomes,
    "31": many_threads,
    "inside": direct_calls_in_a_flow,
}


if __name__ == "__main__":
    assert threading.current_thread() is threading.main_thread()
    scenario, collector, model = sys.argv[1:]
    SCENARIOS[scenario](Humanloop(api_key="hl_sk_test", base_url=collector), model)
