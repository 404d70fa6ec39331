"""Scenarios about Files, driven through the unmodified SDK in an environment of its own.

Arguments: scenario, base URL of /v5. Exits with an error when something is not as it should be.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from humanloop import Humanloop
from humanloop.core.api_error import ApiError
from humanloop.types import (
    AgentResponse,
    DatasetResponse,
    EvaluatorResponse,
    FlowResponse,
    PromptResponse,
    ToolResponse,
)

TEMPLATE = [{"role": "system", "content": "You are {{person}}."}]
KERNEL: dict[str, Any] = {"model": "gpt-4o", "template": TEMPLATE}
SPEC: dict[str, Any] = {
    "arguments_type": "target_free",
    "return_type": "boolean",
    "evaluator_type": "python",
    "code": "def judge(log):\n    return True",
}
OTHER_SPEC: dict[str, Any] = {**SPEC, "return_type": "number"}
POINTS: list[Any] = [{"inputs": {"q": "1"}}]
FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}


def keep_versions_by_content(client: Humanloop) -> None:
    one = client.prompts.upsert(path="a/b/p", **KERNEL)
    same = client.prompts.upsert(path="a/b/p", **KERNEL)
    other = client.prompts.upsert(path="a/b/p", temperature=0.3, **KERNEL)
    assert isinstance(one, PromptResponse), type(one)
    assert one.version_id == same.version_id != other.version_id
    assert one.id == same.id == other.id
    assert other.temperature == 0.3
    assert [i.name for i in one.inputs] == ["person"]
    records = client.prompts.list_versions(one.id).records
    assert {r.version_id for r in records} == {one.version_id, other.version_id}
    assert len(records) == 2
    assert {"a", "a/b"} <= {d.path for d in client.directories.list()}


def deploy_versions(client: Humanloop) -> None:
    one = client.prompts.upsert(path="p", **KERNEL)
    two = client.prompts.upsert(path="p", temperature=0.3, **KERNEL)
    assert client.prompts.get(one.id).version_id == one.version_id
    places = client.prompts.list_environments(one.id)
    by_name = {place.name: place for place in places}
    assert by_name.keys() == {"production", "staging"}
    assert (by_name["production"].tag, by_name["staging"].tag) == ("default", "other")
    assert by_name["production"].file.version_id == one.version_id
    assert by_name["staging"].file is None
    staging = by_name["staging"].id
    deployed = client.prompts.set_deployment(one.id, staging, version_id=two.version_id)
    assert deployed.version_id == two.version_id
    assert client.prompts.get(one.id, environment="staging").version_id == two.version_id
    assert client.prompts.get(one.id).version_id == one.version_id
    assert client.prompts.get(one.id, version_id=two.version_id).version_id == two.version_id
    assert all(place.file is not None for place in client.prompts.list_environments(one.id))
    client.prompts.remove_deployment(one.id, staging)
    refused(404, lambda: client.prompts.get(one.id, environment="staging"))


def move_files(client: Humanloop) -> None:
    file = client.prompts.upsert(path="a/b/p", **KERNEL)
    log = client.prompts.log(path="a/b/p", prompt=KERNEL, output="hello")
    moved = client.prompts.move(file.id, path="c/q")
    assert (moved.id, moved.path, moved.name) == (file.id, "c/q", "q")
    assert client.prompts.get(file.id).path == "c/q"
    found = client.files.retrieve_by_path(path="c/q")
    assert isinstance(found, PromptResponse)
    assert found.id == file.id
    refused(404, lambda: client.files.retrieve_by_path(path="a/b/p"))
    assert [one.id for one in client.logs.list(file_id=file.id)] == [log.id]
    assert client.prompts.move(file.id, name="r").path == "c/r"
    client.prompts.upsert(path="other", **KERNEL)
    refused(409, lambda: client.prompts.move(file.id, path="other"))


def turn_pages(client: Humanloop) -> None:
    for number in range(25):
        client.prompts.upsert(path=f"many/Prompt {number:02}", **KERNEL)
    listed = [one.name for one in client.prompts.list(size=10)]
    assert len(listed) == len(set(listed)) == 25
    found = client.prompts.list(name="PROMPT 1", sort_by="name", order="desc", size=100)
    assert [one.name for one in found] == [f"Prompt {number}" for number in range(19, 9, -1)]


def grow_datasets(client: Humanloop) -> None:
    points = [{"inputs": {"q": str(n)}, "target": {"a": n}} for n in range(12)]
    one = client.datasets.upsert(path="d", datapoints=[*points[:10], points[0]])
    assert isinstance(one, DatasetResponse), type(one)
    assert one.datapoints_count == 10
    two = client.datasets.upsert(path="d", datapoints=points[9:], action="add")
    assert two.datapoints_count == 12
    three = client.datasets.upsert(path="d", datapoints=points[:1], action="remove")
    assert three.datapoints_count == 11
    assert len({one.version_id, two.version_id, three.version_id}) == 3
    whole = client.datasets.get(one.id, version_id=two.version_id, include_datapoints=True)
    assert [(p.inputs, p.target) for p in whole.datapoints] == [
        (p["inputs"], p["target"]) for p in points
    ]
    assert client.datasets.get(one.id).datapoints is None
    pages = client.datasets.list_datapoints(one.id, version_id=two.version_id, size=5)
    assert [p.id for p in pages] == [p.id for p in whole.datapoints]
    records = client.datasets.list_versions(one.id, include_datapoints="latest_saved").records
    assert [len(r.datapoints or []) for r in records] == [11, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "more.csv"
        csv.write_text("q,target\nfrom a file,yes\n")
        with csv.open("rb") as file:
            added = client.datasets.upload_csv(one.id, file=file, version_name="v1")
    assert (added.datapoints_count, added.version_name) == (11, "v1")


def read_and_write_texts(client: Humanloop) -> None:
    prompt = client.prompts.upsert(path="p", temperature=0.5, stop=["x"], **KERNEL)
    text = client.prompts.serialize(prompt.id)
    kernel = client.prompts.deserialize(prompt=text)
    assert kernel.model == "gpt-4o"
    again = client.prompts.upsert(path="p", **kernel.dict(exclude_unset=True))
    assert again.version_id == prompt.version_id
    filled = client.prompts.populate(prompt.id, request={"person": "Ada"})
    assert filled.populated_template[0]["content"] == "You are Ada."  # the SDK leaves dicts
    refused(422, lambda: client.prompts.populate(prompt.id, request={}))
    refused(422, lambda: client.prompts.deserialize(prompt="no header"))
    agent = client.agents.upsert(path="a", max_iterations=3, **KERNEL)
    text = client.agents.serialize(agent.id)
    assert client.agents.deserialize(agent=text).max_iterations == 3
    listed = client.files.list_files(type=["prompt", "agent"], include_raw_file_content=True)
    assert {one.raw_file_content for one in listed.records} == {
        text,
        client.prompts.serialize(prompt.id),
    }


def call_every_operation(client: Humanloop) -> None:
    """Each operation on each type of File, with its main failure."""
    for group, kind, content, other in (
        (client.prompts, PromptResponse, KERNEL, {"model": "other"}),
        (client.tools, ToolResponse, {"function": FUNCTION}, {"source_code": "x"}),
        (client.flows, FlowResponse, {"attributes": {"a": 1}}, {"attributes": {}}),
        (client.agents, AgentResponse, KERNEL, {"model": "other"}),
        (client.evaluators, EvaluatorResponse, {"spec": SPEC}, {"spec": OTHER_SPEC}),
        (client.datasets, DatasetResponse, {"datapoints": POINTS}, {"datapoints": []}),
    ):
        call_group(client, group, kind, content, other)
    judge = client.evaluators.upsert(path="judge", spec=SPEC)
    production = client.evaluators.list_environments(judge.id)[0].id
    for group, content in (
        (client.prompts, KERNEL),
        (client.tools, {"function": FUNCTION}),
        (client.flows, {"attributes": {"a": 1}}),
        (client.agents, KERNEL),
        (client.evaluators, {"spec": SPEC}),
    ):
        file = group.upsert(path=f"judged/{type(group).__name__}", **content)
        by_version = {"evaluator_version_id": judge.version_id}
        by_place = {"evaluator_id": judge.id, "environment_id": production}
        watched = group.update_monitoring(file.id, activate=[by_version, by_place])
        assert states(watched) == ["active", "active"]
        watched = group.update_monitoring(file.id, deactivate=[by_version])
        assert states(watched) == ["inactive", "active"]
        missing = {"evaluator_version_id": "evv_none"}
        refused(404, lambda: group.update_monitoring(file.id, activate=[missing]))  # noqa: B023
    call_directories(client)


def made(files: Any) -> list[Any]:
    """Leave out the two Evaluators that come with the first Prompt."""
    return [one for one in files if one.path not in ("rating", "correction")]


def states(file: Any) -> list[str]:
    """Return the states of a File's Evaluators without those that every Prompt has."""
    return [one.state for one in file.evaluators if made([one.version])]


def call_group(
    client: Humanloop, group: Any, kind: type, content: dict[str, Any], other: dict[str, Any]
) -> None:
    file = group.upsert(path="x/f", version_name="one", **content)
    assert isinstance(file, kind), type(file)
    assert isinstance(group.get(file.id), kind)
    assert [one.id for one in made(group.list(size=50))] == [file.id]
    assert isinstance(client.files.retrieve_by_path(path="x/f"), kind)
    assert [type(one) for one in made(client.files.list_files(size=50).records)] == [kind]
    assert [type(one) for one in group.list_versions(file.id).records] == [kind]
    assert isinstance(group.list_environments(file.id)[0].file, kind)
    names = (f"{verb}_{file.type}_version" for verb in ("update", "patch"))
    rename = next(getattr(group, name) for name in names if hasattr(group, name))
    assert rename(file.id, file.version_id, name="uno").version_name == "uno"
    refused(404, lambda: rename(file.id, "none", name="uno"))
    delete = getattr(group, f"delete_{file.type}_version")
    refused(409, lambda: delete(file.id, file.version_id))
    delete(file.id, group.upsert(path="x/f", **other).version_id)
    assert len(group.list_versions(file.id).records) == 1
    staging = next(e for e in group.list_environments(file.id) if e.name == "staging").id
    deployed = group.set_deployment(file.id, staging, version_id=file.version_id)
    assert {e.name for e in deployed.environments} == {"production", "staging"}
    refused(404, lambda: group.set_deployment(file.id, "env_none", version_id=file.version_id))
    group.remove_deployment(file.id, staging)
    assert group.move(file.id, path="x/g").path == "x/g"
    group.delete(file.id)
    refused(404, lambda: group.get(file.id))


def call_directories(client: Humanloop) -> None:
    made = client.directories.create(path="top/below")
    assert "top/below" in {one.path for one in client.directories.list()}
    root = client.directories.get("root")
    assert "top" in {one.path for one in root.subdirectories}
    assert client.directories.update(made.id, name="under").path == "top/under"
    shown = client.directories.get(made.id)
    assert [one.path for one in shown.parents] == ["", "top"]
    refused(409, lambda: client.directories.create(path="top/under"))
    client.directories.delete(made.id)
    refused(404, lambda: client.directories.get(made.id))


def refused(status: int, call: Callable[[], Any]) -> None:
    refusal = None
    try:
        call()
    except ApiError as error:
        refusal = error
    assert refusal is not None, f"not refused with {status}"
    assert refusal.status_code == status, (refusal.status_code, refusal.body)
    assert status == 422 or refusal.body["detail"], refusal.body


SCENARIOS: dict[str, Callable[[Humanloop], None]] = {
    "1": keep_versions_by_content,
    "2": deploy_versions,
    "5": move_files,
    "7": turn_pages,
    "9": grow_datasets,
    "texts": read_and_write_texts,
    "all": call_every_operation,
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Humanloop(api_key="hl_sk_test", base_url=sys.argv[2]))
