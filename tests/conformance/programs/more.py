"""What else the SDK can do: async clients, raw answers, typed errors, filters, request options.

Arguments: scenario, base URL of /v5. Exits with an error when something is not as it should be.
The collector calls a model that answers `you said …`.
"""

import asyncio
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from humanloop import AsyncHumanloop, Humanloop
from humanloop.core.api_error import ApiError
from humanloop.errors import UnprocessableEntityError
from humanloop.types import (
    AgentLogResponse,
    DatasetResponse,
    EvaluatorLogResponse,
    FlowLogResponse,
    PromptLogResponse,
    ToolLogResponse,
)

HI: list[Any] = [{"role": "user", "content": "hi"}]
SPEC: dict[str, Any] = {
    "arguments_type": "target_free",
    "return_type": "select",
    "evaluator_type": "human",
    "options": [{"name": "good", "valence": "positive"}, {"name": "bad", "valence": "negative"}],
    "instructions": "Is it good?",
}


def use_async(client: Humanloop, url: str) -> None:
    """The async client: pages, streams, many calls at once."""

    async def run() -> None:
        async_client = AsyncHumanloop(api_key="hl_sk_test", base_url=url)
        made = await asyncio.gather(
            *(async_client.flows.upsert(path=f"many/f{n}", attributes={"n": n}) for n in range(12))
        )
        assert len({one.id for one in made}) == 12
        pager = await async_client.flows.list(size=5)
        assert len([one async for one in pager]) == 12
        prompt: Any = {"model": "gpt-4o"}
        answers = await asyncio.gather(
            *(async_client.prompts.call(path="p", prompt=prompt, messages=HI) for _ in range(4))
        )
        assert {answer.logs[0].output for answer in answers} == {"you said hi"}
        assert len({answer.prompt.version_id for answer in answers}) == 1
        stream = async_client.prompts.call_stream(path="p", messages=HI)
        assert "".join([chunk.output or "" async for chunk in stream]) == "you said hi"
        file = await async_client.files.retrieve_by_path(path="p")
        logs = [one async for one in await async_client.logs.list(file_id=file.id, size=2)]
        assert len(logs) == 5
        missing = None
        try:
            await async_client.flows.get("none")
        except ApiError as error:
            missing = error
        assert missing is not None
        assert missing.status_code == 404

    asyncio.run(run())


def use_raw_answers(client: Humanloop, url: str) -> None:
    """Raw answers, and options of single requests."""
    raw = client.prompts.with_raw_response.upsert(path="p", model="m")
    assert raw.headers["content-type"] == "application/json"
    assert raw.data.path == "p"
    log = client.prompts.with_raw_response.log(path="p", output="x")
    assert log.data.prompt_id == raw.data.id
    text = client.prompts.with_raw_response.serialize(raw.data.id)
    assert text.headers["content-type"].startswith("text/plain")
    options: Any = {
        "additional_headers": {"X-Trace": "1"},
        "additional_query_parameters": {"unknown": "yes"},
        "additional_body_parameters": {"not_in_the_contract": {"a": 1}},
        "timeout_in_seconds": 30,
        "max_retries": 2,
    }
    again = client.prompts.upsert(path="p", model="m", request_options=options)
    assert again.version_id == raw.data.version_id


def tell_errors(client: Humanloop, url: str) -> None:
    """Every refusal has its type, status and a detail."""
    wrong: list[Callable[[], Any]] = [
        lambda: client.prompts.upsert(model="no path"),
        lambda: client.prompts.upsert(path="p", model=[1]),  # type: ignore[arg-type]
        lambda: client.tools.upsert(path="t", function={"name": 1}),  # type: ignore[typeddict-item]
        lambda: client.evaluators.upsert(path="e", spec={"evaluator_type": "python"}),  # type: ignore[typeddict-item]
        lambda: client.datasets.upsert(path="d", datapoints=[{"inputs": "x"}]),  # type: ignore[typeddict-item]
        lambda: client.datasets.upsert(path="d", datapoints=[], action="mix"),  # type: ignore[arg-type]
        lambda: client.prompts.deserialize(prompt="no header"),
        lambda: client.logs.list(file_id="x", page=0),
        lambda: client.evaluations.create(evaluators=[{"nothing": 1}]),  # type: ignore[list-item]
    ]
    for number, call in enumerate(wrong):
        error = refused(call)
        assert isinstance(error, UnprocessableEntityError), (number, error)
        details = error.body.detail if hasattr(error.body, "detail") else error.body["detail"]
        assert isinstance(details, list), (number, error.body)
        assert details, number
    first = client.prompts.upsert(path="p", model="m", version_name="one")
    client.tools.upsert(path="taken", source_code="x")
    for status, call in (
        (404, lambda: client.prompts.get("pr_none")),
        (404, lambda: client.prompts.get(first.id, version_id="prv_none")),
        (404, lambda: client.prompts.get(first.id, environment="none")),
        (404, lambda: client.tools.get(first.id)),
        (404, lambda: client.logs.get("log_none")),
        (404, lambda: client.evaluations.get("evr_none")),
        (404, lambda: client.directories.get("dir_none")),
        (404, lambda: client.files.list_files(path="nowhere")),
        (404, lambda: client.files.list_files(environment="nowhere")),
        (409, lambda: client.prompts.upsert(path="p", model="other", version_name="one")),
        (409, lambda: client.prompts.upsert(path="taken", model="m")),
        (409, lambda: client.prompts.move(first.id, path="taken")),
        (409, lambda: client.prompts.delete_prompt_version(first.id, first.version_id)),
    ):
        error = refused(call)
        assert error.status_code == status, (error.status_code, error.body)
        assert isinstance(error.body["detail"], str)
        assert error.body["detail"]
    wrapped = refused(lambda: client.prompts.log(id="pr_none", output="x"))
    assert wrapped.status_code == 404


def refused(call: Callable[[], Any]) -> ApiError:
    """Return the API's error; some methods of the SDK wrap it."""
    try:
        call()
    except Exception as error:
        for one in (error, error.__cause__):
            if isinstance(one, ApiError):
                return one
        raise
    raise AssertionError("this was not refused")


def filter_logs(client: Humanloop, url: str) -> None:
    """Every filter of the list of Logs, and the types of what it gives."""
    now = datetime.now(UTC)
    ids = {}
    for name, days in (("old", 3), ("mid", 2), ("new", 1)):
        made = client.prompts.log(
            path="p",
            prompt={"model": "m" if name != "new" else "other"},
            output=f"it is {name}",
            metadata={"release": {"name": f"v-{name}"}},
            start_time=now - timedelta(days=days),
            created_at=now - timedelta(days=days),
            log_id=f"log_filter_{name}",
        )
        ids[name] = made.id
        file_id = made.prompt_id
    assert ids["old"] == "log_filter_old"

    def found(**filters: Any) -> set[str]:
        return {one.id for one in client.logs.list(file_id=file_id, size=100, **filters)}

    everything = set(ids.values())
    assert found() == everything
    assert found(search="IT IS mid") == {ids["mid"]}
    assert found(metadata_search="v-old") == {ids["old"]}
    assert found(start_date=now - timedelta(days=2.5)) == {ids["mid"], ids["new"]}
    assert found(end_date=now - timedelta(days=2.5)) == {ids["old"]}
    assert found(id="filter_new") == {ids["new"]}
    assert found(id=["filter_new", "filter_old"]) == {ids["new"], ids["old"]}
    assert found(sample=2) <= everything
    assert len(found(sample=2)) == 2
    assert found(in_trace_filter=False) | found(in_trace_filter=[True, False]) == everything
    (other,) = client.prompts.list_versions(file_id).records[:1]
    assert found(version_id=other.version_id) in ({ids["new"]}, {ids["old"], ids["mid"]})
    repeated = client.prompts.log(path="p", output="twice", log_id="log_filter_old")
    assert repeated.id == ids["old"]
    assert found() == everything
    hidden = client.prompts.log(path="p", output="secret", inputs={"a": "b"}, save=False)
    log = client.logs.get(hidden.id)
    assert (log["output"], log["inputs"] or {}) == (None, {}), log
    client.logs.delete(id=[hidden.id, "log_none"])
    assert found() == everything


def log_each_type(client: Humanloop, url: str) -> None:
    """Logs of all types come back as theirs, with judgments and their parents."""
    flow = client.flows.log(
        path="f", flow={"attributes": {}}, inputs={"q": "1"}, log_status="incomplete"
    )
    prompt = client.prompts.log(
        path="p", prompt={"model": "m"}, output="x", trace_parent_id=flow.id
    )
    tool = client.tools.log(path="t", tool={"source_code": "x"}, output="1", inputs={"a": 1})
    judged = client.evaluators.log(path="e", spec=SPEC, parent_id=prompt.id, judgment="good")
    client.flows.update_log(flow.id, log_status="complete", output="done")
    kinds: list[tuple[str, type]] = [
        (flow.flow_id, FlowLogResponse),
        (prompt.prompt_id, PromptLogResponse),
        (tool.tool_id, ToolLogResponse),
        (client.files.retrieve_by_path(path="e").id, EvaluatorLogResponse),
    ]
    if hasattr(client, "agents"):
        agent = client.agents.log(path="a", agent={"model": "m"}, output="x", messages=HI)
        updated = client.agents.update_log(agent.agent_id, agent.id, output="y")
        assert updated.output == "y"
        kinds.append((agent.agent_id, AgentLogResponse))
    for file_id, kind in kinds:
        listed = list(client.logs.list(file_id=file_id, include_parent=True))
        assert [type(one) for one in listed] == [kind], (kind, listed)
    whole = client.logs.get(prompt.id)
    assert [one["judgment"] for one in whole["evaluator_logs"]] == ["good"]
    (verdict,) = client.logs.list(file_id=kinds[3][0], include_parent=True)
    assert verdict.id == judged.id
    assert verdict.parent is not None
    assert verdict.parent.id == prompt.id
    changed = client.tools.update(tool.tool_id, tool.id, output=None, error="broken")
    told: Any = changed if isinstance(changed, dict) else changed.dict()  # as `logs.get`
    assert (told["output"], told["error"]) == (None, "broken")


def grow_datasets(client: Humanloop, url: str) -> None:
    """CSV as text, bytes and file; a Version to begin from; names; deletion."""
    empty = client.datasets.upsert(path="d", datapoints=[])
    assert isinstance(empty, DatasetResponse)
    csv = 'q,target\n"two, parts",yes\n"a ""word""",no\nümlaut,\n'
    added = client.datasets.upload_csv(empty.id, file=("a.csv", io.BytesIO(csv.encode())))
    assert added.datapoints_count == 3
    more = client.datasets.upload_csv(
        empty.id, file=csv.replace("two", "2"), version_id=added.version_id, version_name="more"
    )
    assert (more.datapoints_count, more.version_name) == (4, "more")
    points = list(client.datasets.list_datapoints(empty.id, version_id=more.version_id, size=3))
    assert [one.inputs["q"] for one in points] == [
        "two, parts",
        'a "word"',
        "ümlaut",
        "2, parts",
    ]
    client.datasets.delete_dataset_version(empty.id, added.version_id)
    assert len(client.datasets.list_versions(empty.id).records) == 2
    messages: list[Any] = [{"inputs": {"q": "1"}, "messages": HI, "target": {"a": {"b": [1]}}}]
    kept = client.datasets.upsert(path="d", datapoints=messages, action="add")
    (last,) = [
        one
        for one in client.datasets.list_datapoints(empty.id, version_id=kept.version_id, size=100)
        if one.messages
    ]
    assert last.messages[0].content == "hi"
    assert last.target == {"a": {"b": [1]}}


def order_directories(client: Humanloop, url: str) -> None:
    """Directories hold Files of all types, and take them along when they move."""
    top = client.directories.create(path="top")
    below = client.directories.create(parent_id=top.id, name="below")
    assert below.path == "top/below"
    prompt = client.prompts.upsert(path="top/below/p", model="m")
    client.flows.upsert(path="top/below/deep/f", attributes={})
    assert prompt.directory_id == below.id
    client.directories.update(top.id, name="moved")
    assert client.prompts.get(prompt.id).path == "moved/below/p"
    listed = client.files.list_files(path="moved", size=50).records
    assert {one.path for one in listed} == {"moved/below/p", "moved/below/deep/f"}
    kinds = client.files.list_files(path="moved", type=["prompt"], size=50).records
    assert [one.type for one in kinds] == ["prompt"]
    named = client.files.list_files(name="P", type=["prompt", "tool"]).records
    assert [one.id for one in named] == [prompt.id]
    moved = client.prompts.move(prompt.id, path="moved/p")
    assert moved.path == "moved/p"
    shown = client.directories.get(top.id)
    assert [one.id for one in shown.files] == [prompt.id]
    assert refused(lambda: client.directories.delete(top.id)).status_code == 409


SCENARIOS: dict[str, Callable[[Humanloop, str], None]] = {
    "async": use_async,
    "raw": use_raw_answers,
    "errors": tell_errors,
    "filters": filter_logs,
    "types": log_each_type,
    "datasets": grow_datasets,
    "directories": order_directories,
}

if __name__ == "__main__":
    scenario, base_url = sys.argv[1:]
    SCENARIOS[scenario](Humanloop(api_key="hl_sk_test", base_url=base_url), base_url)
