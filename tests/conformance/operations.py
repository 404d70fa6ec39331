"""Every operation of the contract with one request that succeeds and its main failure.

A request is made of what a `World` has: a collector with something of everything in it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient

Json = dict[str, Any]
KINDS = {
    "prompts": "prompt",
    "tools": "tool",
    "flows": "flow",
    "agents": "agent",
    "evaluators": "evaluator",
    "datasets": "dataset",
}
FUNCTION = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
SPEC = {
    "arguments_type": "target_free",
    "return_type": "boolean",
    "evaluator_type": "external",
}
HI = [{"role": "user", "content": "hi"}]
CODE = {"function": FUNCTION, "source_code": "def add(a=1, b=1):\n    return a + b\n"}
STOPS: Json = {
    "model": "gpt-4o",
    "tools": [
        {
            "type": "inline",
            "json_schema": {"name": "ask_user", "description": "Ask."},
            "on_agent_call": "stop",
        }
    ],
}
CONTENT: dict[str, Callable[[int], Json]] = {
    "prompts": lambda n: {"model": f"gpt-4o-{n}"},
    "tools": lambda n: {"function": FUNCTION, "attributes": {"n": n}},
    "flows": lambda n: {"attributes": {"n": n}},
    "agents": lambda n: {"model": f"gpt-4o-{n}"},
    "evaluators": lambda n: {"spec": {**SPEC, "attributes": {"n": n}}},
    "datasets": lambda n: {"datapoints": [{"inputs": {"n": str(n)}}]},
}


@dataclass(slots=True)
class World:
    """A collector, and how to make things in it."""

    client: TestClient
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Send a request that must succeed."""
        answer = self.client.request(method, path, json=body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def file(self, group: str, path: str | None = None, **content: Any) -> Any:
        """Make a File or a new Version of one."""
        number = next(self._numbers)
        body = {**CONTENT[group](number), **content}
        return self.ask("POST", group, {"path": path or f"{group}/{number}", **body})

    def log(self, group: str, **body: Any) -> Any:
        """Make a Log; its answer has ids only."""
        file = self.file(group)
        return self.ask("POST", f"{group}/log", {"id": file["id"], **body})

    def environment(self, name: str = "staging") -> str:
        """Return the id of an environment."""
        file = self.file("flows")
        listed = self.ask("GET", f"flows/{file['id']}/environments")
        return str(next(one["id"] for one in listed if one["name"] == name))

    def evaluation(self, **more: Any) -> Any:
        """Make an evaluation of a Prompt."""
        evaluator, prompt = self.file("evaluators"), self.file("prompts")
        body = {"file": {"id": prompt["id"]}, "evaluators": [{"id": evaluator["id"]}], **more}
        return self.ask("POST", "evaluations", body)

    def run(self, evaluation: Any) -> Any:
        """Make a run in an evaluation, whose Logs come from outside."""
        dataset = self.file("datasets")
        version = self.ask("GET", f"prompts/{evaluation['file_id']}")["version_id"]
        body = {
            "dataset": {"version_id": dataset["version_id"]},
            "version": {"version_id": version},
            "orchestrated": False,
        }
        return self.ask("POST", f"evaluations/{evaluation['id']}/runs", body)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request and the status it is answered with."""

    status: int
    method: str
    path: str
    body: Any = None
    more: Json = field(default_factory=dict)


Pair = tuple[Callable[[World], Ask], Callable[[World], Ask]]
OPERATIONS: dict[str, Pair] = {}


def _files(group: str, kind: str) -> None:
    """Add what Files of every type have."""

    def two_versions(world: World) -> Any:
        first = world.file(group, version_name="one")
        second = world.file(group, first["path"], version_name="two")
        return {**second, "other_version_id": first["version_id"]}

    def version_path(file: Any) -> str:
        return f"{group}/{file['id']}/versions/{file['version_id']}"

    def deployment(world: World, environment_id: str) -> str:
        file = world.file(group)
        query = f"?version_id={file['version_id']}"
        return f"{group}/{file['id']}/environments/{environment_id}{query}"

    def file_path(world: World) -> str:
        return f"{group}/{world.file(group)['id']}"

    rename = "patch" if group in ("prompts", "agents") else "update"
    nobody = f"{group}/none"
    found: dict[str, Pair] = {
        "list": (
            lambda w: Ask(200, "GET", f"{group}?size=2&sort_by=name&order=desc"),
            lambda w: Ask(422, "GET", f"{group}?page=0"),
        ),
        "upsert": (
            lambda w: Ask(200, "POST", group, {"path": f"new/{group}", **CONTENT[group](0)}),
            lambda w: Ask(422, "POST", group, CONTENT[group](0)),  # whose?
        ),
        "get": (lambda w: Ask(200, "GET", file_path(w)), lambda w: Ask(404, "GET", nobody)),
        "delete": (
            lambda w: Ask(204, "DELETE", file_path(w)),
            lambda w: Ask(404, "DELETE", nobody),
        ),
        "move": (
            lambda w: Ask(200, "PATCH", file_path(w), {"path": f"moved/{group}"}),
            lambda w: Ask(409, "PATCH", file_path(w), {"path": w.file(group)["path"]}),
        ),
        "list_versions": (
            lambda w: Ask(200, "GET", f"{group}/{two_versions(w)['id']}/versions"),
            lambda w: Ask(404, "GET", f"{nobody}/versions"),
        ),
        f"delete_{kind}_version": (
            lambda w: Ask(204, "DELETE", version_path(two_versions(w))),
            lambda w: Ask(409, "DELETE", version_path(w.file(group))),  # the only one
        ),
        f"{rename}_{kind}_version": (
            lambda w: Ask(200, "PATCH", version_path(two_versions(w)), {"name": "three"}),
            lambda w: Ask(409, "PATCH", version_path(two_versions(w)), {"name": "one"}),
        ),
        "set_deployment": (
            lambda w: Ask(200, "POST", deployment(w, w.environment())),
            lambda w: Ask(404, "POST", deployment(w, "none")),
        ),
        "remove_deployment": (
            lambda w: Ask(204, "DELETE", deployment(w, w.environment("production"))),
            lambda w: Ask(404, "DELETE", deployment(w, "none")),
        ),
        "list_environments": (
            lambda w: Ask(200, "GET", f"{file_path(w)}/environments"),
            lambda w: Ask(404, "GET", f"{nobody}/environments"),
        ),
    }
    if group != "datasets":
        found["update_monitoring"] = (
            lambda w: Ask(200, "POST", f"{file_path(w)}/evaluators", {"activate": [_judge(w)]}),
            lambda w: Ask(
                404,
                "POST",
                f"{file_path(w)}/evaluators",
                {"activate": [{"evaluator_version_id": "evv_none"}]},
            ),
        )
    OPERATIONS.update({f"{group}.{name}": pair for name, pair in found.items()})


def _judge(world: World) -> Json:
    code = "def judge(log):\n    return True\n"
    spec = {**SPEC, "evaluator_type": "python", "code": code}
    return {"evaluator_version_id": world.file("evaluators", spec=spec)["version_id"]}


for _group, _kind in KINDS.items():
    _files(_group, _kind)


def _update_path(world: World, group: str) -> str:
    made = world.log(group, output="x")
    return f"{group}/{made[KINDS[group] + '_id']}/log/{made['id']}"


def _text_of(world: World, group: str) -> str:
    file = world.file(group)
    return world.client.get(f"{group}/{file['id']}/serialize").text


def _models(group: str, kind: str) -> None:
    """Add what Files that call models have."""
    found: dict[str, Pair] = {
        f"{group}.log": (
            lambda w: Ask(
                200,
                "POST",
                f"{group}/log",
                {"path": f"l/{group}", kind: {"model": "m"}, "output": "x"},
            ),
            lambda w: Ask(404, "POST", f"{group}/log", {"id": "none", "output": "x"}),
        ),
        f"{group}.update_log": (
            lambda w: Ask(200, "PATCH", _update_path(w, group), {"output": "y"}),
            lambda w: Ask(404, "PATCH", f"{group}/none/log/none", {"output": "y"}),
        ),
        f"{group}.call": (
            lambda w: Ask(
                200,
                "POST",
                f"{group}/call",
                {"path": f"c/{group}", kind: {"model": "gpt-4o"}, "messages": HI, "stream": False},
            ),
            lambda w: Ask(404, "POST", f"{group}/call", {"path": "none", "messages": HI}),
        ),
        f"{group}.serialize": (
            lambda w: Ask(200, "GET", f"{group}/{w.file(group)['id']}/serialize"),
            lambda w: Ask(404, "GET", f"{group}/none/serialize"),
        ),
        f"{group}.deserialize": (
            lambda w: Ask(200, "POST", f"{group}/deserialize", {kind: _text_of(w, group)}),
            lambda w: Ask(422, "POST", f"{group}/deserialize", {kind: "no header"}),
        ),
    }
    OPERATIONS.update(found)


for _group in ("prompts", "agents"):
    _models(_group, KINDS[_group])


def _suspended(world: World) -> str:
    body = {
        "path": "stops",
        "agent": STOPS,
        "messages": [{"role": "user", "content": "use ask_user"}],
    }
    return str(world.ask("POST", "agents/call", body)["id"])


def _answers(log_id: str) -> Json:
    return {
        "log_id": log_id,
        "messages": [{"role": "tool", "content": "yes", "tool_call_id": "call_2"}],
    }


def _variables(world: World) -> str:
    tool = world.file("tools")["id"]
    world.ask("POST", f"tools/{tool}/environment-variables", [{"name": "A", "value": "b"}])
    return f"tools/{tool}/environment-variables"


def _csv(world: World) -> Ask:
    path = f"datasets/{world.file('datasets')['id']}/datapoints/csv"
    return Ask(200, "POST", path, more={"files": {"file": ("a.csv", b"q\n1\n", "text/csv")}})


def _span() -> Json:
    return {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "scope": {"name": "humanloop.sdk.decorator"},
                        "spans": [
                            {
                                "traceId": "0ecaec8c851108881e3a792b0f7adf28",
                                "spanId": "8760c782cfddbc24",
                                "name": "humanloop.tool",
                                "attributes": [
                                    {"key": "humanloop.file.path", "value": {"stringValue": "t"}},
                                    {
                                        "key": "humanloop.file.type",
                                        "value": {"stringValue": "tool"},
                                    },
                                ],
                            }
                        ],
                    }
                ]
            }
        ]
    }


def _missing_run(world: World) -> str:
    return f"evaluations/{world.evaluation()['id']}/runs/none"


def _run_path(world: World) -> str:
    evaluation = world.evaluation()
    return f"evaluations/{evaluation['id']}/runs/{world.run(evaluation)['id']}"


def _foreign_run(world: World) -> str:
    """Return the path that takes another evaluation's run into one of the same File."""
    evaluation = world.evaluation()
    run = world.run(evaluation)
    other = world.evaluation(file={"id": evaluation["file_id"]})
    return f"evaluations/{other['id']}/runs/{run['id']}"


def _logs_for_run(world: World) -> Ask:
    evaluation = world.evaluation()
    run = world.run(evaluation)
    log = world.ask("POST", "prompts/log", {"id": evaluation["file_id"], "output": "x"})
    path = f"evaluations/{evaluation['id']}/runs/{run['id']}/logs"
    return Ask(200, "POST", path, {"log_ids": [log["id"]]})


def _create_run(world: World) -> Ask:
    evaluation, dataset = world.evaluation(), world.file("datasets")
    body = {"dataset": {"version_id": dataset["version_id"]}, "orchestrated": False}
    return Ask(200, "POST", f"evaluations/{evaluation['id']}/runs", body)


def _own_evaluator(world: World) -> str:
    evaluation = world.evaluation()
    version_id = evaluation["evaluators"][0]["version"]["version_id"]
    return f"evaluations/{evaluation['id']}/evaluators/{version_id}"


OPERATIONS |= {
    "prompts.populate": (
        lambda w: Ask(
            200,
            "POST",
            f"prompts/{w.file('prompts', template=[])['id']}/populate",
            {"who": "Ada"},
        ),
        lambda w: Ask(404, "POST", "prompts/none/populate", {}),
    ),
    "agents.continue_call": (
        lambda w: Ask(200, "POST", "agents/continue", _answers(_suspended(w))),
        lambda w: Ask(404, "POST", "agents/continue", _answers("none")),
    ),
    "tools.log": (
        lambda w: Ask(200, "POST", "tools/log", {"path": "l/t", "tool": CODE, "output": "x"}),
        lambda w: Ask(404, "POST", "tools/log", {"id": "none", "output": "x"}),
    ),
    "tools.update": (
        lambda w: Ask(200, "PATCH", _update_path(w, "tools"), {"output": "y"}),
        lambda w: Ask(404, "PATCH", "tools/none/log/none", {"output": "y"}),
    ),
    "tools.call": (
        lambda w: Ask(200, "POST", "tools/call", {"path": "c/t", "tool": CODE, "inputs": {}}),
        lambda w: Ask(422, "POST", "tools/call", {"id": w.file("tools")["id"]}),  # no code
    ),
    "tools.get_environment_variables": (
        lambda w: Ask(200, "GET", _variables(w)),
        lambda w: Ask(404, "GET", "tools/none/environment-variables"),
    ),
    "tools.add_environment_variable": (
        lambda w: Ask(200, "POST", _variables(w), [{"name": "C", "value": "d"}]),
        lambda w: Ask(422, "POST", _variables(w), [{"name": "no name", "value": "d"}]),
    ),
    "tools.delete_environment_variable": (
        lambda w: Ask(200, "DELETE", f"{_variables(w)}/A"),
        lambda w: Ask(404, "DELETE", f"{_variables(w)}/B"),
    ),
    "datasets.list_datapoints": (
        lambda w: Ask(200, "GET", f"datasets/{w.file('datasets')['id']}/datapoints?size=1"),
        lambda w: Ask(404, "GET", "datasets/none/datapoints"),
    ),
    "datasets.upload_csv": (
        _csv,
        lambda w: Ask(
            404,
            "POST",
            "datasets/none/datapoints/csv",
            more={"files": {"file": ("a.csv", b"q\n1\n", "text/csv")}},
        ),
    ),
    "evaluators.log": (
        lambda w: Ask(
            200,
            "POST",
            "evaluators/log",
            {"path": "l/e", "spec": SPEC, "parent_id": w.log("prompts")["id"], "judgment": True},
        ),
        lambda w: Ask(
            404,
            "POST",
            "evaluators/log",
            {"path": "l/e", "spec": SPEC, "parent_id": "none", "judgment": True},
        ),
    ),
    "flows.log": (
        lambda w: Ask(
            200, "POST", "flows/log", {"path": "l/f", "flow": {"attributes": {}}, "output": "x"}
        ),
        lambda w: Ask(404, "POST", "flows/log", {"id": "none", "output": "x"}),
    ),
    "flows.update_log": (
        lambda w: Ask(
            200,
            "PATCH",
            f"flows/logs/{w.log('flows', log_status='incomplete', inputs={'a': 'b'})['id']}",
            {"log_status": "complete", "output": "x"},
        ),
        lambda w: Ask(404, "PATCH", "flows/logs/none", {"output": "x"}),
    ),
    "directories.list": (
        lambda w: Ask(200, "GET", "directories"),
        lambda w: Ask(401, "GET", "directories", more={"headers": {"X-API-KEY": "wrong"}}),
    ),
    "directories.create": (
        lambda w: Ask(201, "POST", "directories", {"path": "made/here"}),
        lambda w: Ask(409, "POST", "directories", {"path": "made/here"}),
    ),
    "directories.get": (
        lambda w: Ask(200, "GET", "directories/root"),
        lambda w: Ask(404, "GET", "directories/none"),
    ),
    "directories.update": (
        lambda w: Ask(200, "PATCH", f"directories/{_directory(w, 'old')}", {"name": "new"}),
        lambda w: Ask(404, "PATCH", "directories/none", {"name": "new"}),
    ),
    "directories.delete": (
        lambda w: Ask(204, "DELETE", f"directories/{_directory(w, 'gone')}"),
        lambda w: Ask(404, "DELETE", "directories/none"),
    ),
    "files.list_files": (
        lambda w: Ask(200, "GET", "files?type=prompt&type=agent&include_raw_file_content=true"),
        lambda w: Ask(404, "GET", "files?path=none"),
    ),
    "files.retrieve_by_path": (
        lambda w: Ask(200, "POST", "files/retrieve-by-path", {"path": w.file("prompts")["path"]}),
        lambda w: Ask(404, "POST", "files/retrieve-by-path", {"path": "none"}),
    ),
    "evaluations.list": (
        lambda w: Ask(200, "GET", f"evaluations?file_id={w.evaluation()['file_id']}&size=50"),
        lambda w: Ask(422, "GET", "evaluations"),
    ),
    "evaluations.create": (
        lambda w: Ask(201, "POST", "evaluations", {"evaluators": [{"path": _path(w)}]}),
        lambda w: Ask(409, "POST", "evaluations", _taken_name(w)),
    ),
    "evaluations.add_evaluators": (
        lambda w: Ask(
            200,
            "POST",
            f"evaluations/{w.evaluation()['id']}/evaluators",
            {"evaluators": [{"path": _path(w)}]},
        ),
        lambda w: Ask(
            404,
            "POST",
            f"evaluations/{w.evaluation()['id']}/evaluators",
            {"evaluators": [{"path": "none"}]},
        ),
    ),
    "evaluations.remove_evaluator": (
        lambda w: Ask(200, "DELETE", _own_evaluator(w)),
        lambda w: Ask(404, "DELETE", f"evaluations/{w.evaluation()['id']}/evaluators/none"),
    ),
    "evaluations.get": (
        lambda w: Ask(200, "GET", f"evaluations/{w.evaluation()['id']}"),
        lambda w: Ask(404, "GET", "evaluations/none"),
    ),
    "evaluations.delete": (
        lambda w: Ask(204, "DELETE", f"evaluations/{w.evaluation()['id']}"),
        lambda w: Ask(404, "DELETE", "evaluations/none"),
    ),
    "evaluations.list_runs_for_evaluation": (
        lambda w: Ask(200, "GET", f"evaluations/{w.evaluation()['id']}/runs"),
        lambda w: Ask(404, "GET", "evaluations/none/runs"),
    ),
    "evaluations.create_run": (
        _create_run,
        lambda w: Ask(404, "POST", "evaluations/none/runs", {"orchestrated": False}),
    ),
    "evaluations.add_existing_run": (
        lambda w: Ask(200, "POST", _foreign_run(w)),
        lambda w: Ask(404, "POST", _missing_run(w)),
    ),
    "evaluations.remove_run": (
        lambda w: Ask(204, "DELETE", _run_path(w)),
        lambda w: Ask(404, "DELETE", _missing_run(w)),
    ),
    "evaluations.update_evaluation_run": (
        lambda w: Ask(200, "PATCH", _run_path(w), {"control": True, "status": "cancelled"}),
        lambda w: Ask(404, "PATCH", _missing_run(w), {"control": True}),
    ),
    "evaluations.add_logs_to_run": (
        _logs_for_run,
        lambda w: Ask(404, "POST", f"{_run_path(w)}/logs", {"log_ids": ["none"]}),
    ),
    "evaluations.get_stats": (
        lambda w: Ask(200, "GET", f"{_run_path(w).partition('/runs')[0]}/stats"),
        lambda w: Ask(404, "GET", "evaluations/none/stats"),
    ),
    "evaluations.get_logs": (
        lambda w: Ask(200, "GET", f"{_run_path(w).partition('/runs')[0]}/logs"),
        lambda w: Ask(404, "GET", "evaluations/none/logs"),
    ),
    "logs.list": (
        lambda w: Ask(200, "GET", f"logs?file_id={w.log('tools')['tool_id']}"),
        lambda w: Ask(422, "GET", "logs"),
    ),
    "logs.get": (
        lambda w: Ask(200, "GET", f"logs/{w.log('tools')['id']}"),
        lambda w: Ask(404, "GET", "logs/none"),
    ),
    "logs.delete": (
        lambda w: Ask(204, "DELETE", f"logs?id={w.log('tools')['id']}"),
        lambda w: Ask(401, "DELETE", "logs?id=x", more={"headers": {"X-API-KEY": "wrong"}}),
    ),
    "otel.import": (
        lambda w: Ask(200, "POST", "import/otel/v1/traces", _span()),
        lambda w: Ask(400, "POST", "import/otel/v1/traces", more={"content": b"{"}),
    ),
}


def _path(world: World) -> str:
    return str(world.file("evaluators")["path"])


def _directory(world: World, name: str) -> str:
    return str(world.ask("POST", "directories", {"path": f"dirs/{name}"})["id"])


def _taken_name(world: World) -> Json:
    made = world.evaluation(name="taken")
    return {
        "file": {"id": made["file_id"]},
        "name": "taken",
        "evaluators": [{"path": _path(world)}],
    }
