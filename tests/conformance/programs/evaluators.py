"""Scenarios about Evaluators, driven through the unmodified SDK in an environment of its own.

Arguments: scenario, base URL of /v5. The collector's model says what stands after `say ` in what it
is asked. Exits with an error when something is not as it should be.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from humanloop import Humanloop
from humanloop.core.api_error import ApiError
from humanloop.types import EvaluatorLogResponse, EvaluatorResponse

PROMPT: dict[str, Any] = {"model": "gpt-4o", "template": "Answer {{question}}"}
OPTIONS: list[Any] = [
    {"name": "kind", "valence": "positive"},
    {"name": "rude", "valence": "negative"},
    {"name": "so-so", "valence": "neutral"},
]
LIMITS: dict[str, Any] = {"min": 1, "max": 5, "step": 1}
CODE = "def judge(log):\n    return log['output'] == 'fine'\n"
SPEC: dict[str, Any] = {"arguments_type": "target_free", "return_type": "boolean"}


def judge_spec(template: Any, return_type: str = "boolean", **more: Any) -> dict[str, Any]:
    prompt = {"model": "gpt-4o-mini", "template": template, "temperature": 0}
    return {**SPEC, "evaluator_type": "llm", "prompt": prompt, "return_type": return_type, **more}


def judge_with_a_model(client: Humanloop) -> None:
    """Verdicts of every return type; one without a verdict; what a template may name."""
    prompt = client.prompts.upsert(path="support/reply", **PROMPT)
    wanted: dict[str, Any] = {}
    for name, spec, value in (
        ("boolean", judge_spec("say It is polite. / Verdict: **True**"), True),
        ("number", judge_spec("say Fine. / 4", "number", number_limits=LIMITS), 4),
        ("select", judge_spec("say Hm. / Rude.", "select", options=OPTIONS), "rude"),
        (
            "multi_select",
            judge_spec("say Hm. / kind, so-so", "multi_select", options=OPTIONS),
            ["kind", "so-so"],
        ),
        ("text", judge_spec("say Too long. / At nine.", "text"), "At nine."),
        ("far", judge_spec("say Fine. / 7", "number", number_limits=LIMITS), None),
        ("lost", judge_spec("say I cannot tell you"), None),
        ("2023", judge_spec("say {{log_output}} / {{log_inputs}} / yes"), True),
        (
            "paths",
            judge_spec(
                [
                    {"role": "system", "content": "You judge."},
                    {
                        "role": "user",
                        "content": "say {{ log.inputs.question }} {{ log.messages[0].content }} "
                        "{{log.output}} / no",
                    },
                ]
            ),
            False,
        ),
        ("nowhere", judge_spec("say {{log.inputs.nothing}} / yes"), None),
    ):
        made = client.evaluators.upsert(path=f"judges/{name}", spec=spec)  # type: ignore[arg-type]
        assert isinstance(made, EvaluatorResponse), type(made)
        again = client.evaluators.upsert(path=f"judges/{name}", spec=made.spec)
        assert again.version_id == made.version_id, name
        client.prompts.update_monitoring(
            prompt.id, activate=[{"evaluator_version_id": made.version_id}]
        )
        wanted[f"judges/{name}"] = value
    log = client.prompts.log(
        path="support/reply",
        inputs={"question": "Open?"},
        messages=[{"role": "user", "content": "When?"}],
        output="At nine.",
    )
    found = judgments(client, log.id, len(wanted))
    assert {path: one["judgment"] for path, one in found.items()} == wanted
    assert found["judges/boolean"]["output"] == "It is polite.\nVerdict: **True**"
    assert found["judges/boolean"]["error"] is None
    assert found["judges/2023"]["output"] == 'At nine.\n{"question":"Open?"}\nyes'
    assert found["judges/paths"]["output"] == "Open? When? At nine.\nno"
    assert "is not true or false" in found["judges/lost"]["error"]
    assert found["judges/lost"]["output"] == "I cannot tell you"
    assert "over the greatest" in found["judges/far"]["error"]
    assert "not given: log.inputs.nothing" in found["judges/nowhere"]["error"]
    asked = found["judges/boolean"]["provider_request"]
    assert (asked["model"], asked["temperature"]) == ("gpt-4o-mini", 0)
    evaluator = found["judges/boolean"]["evaluator"]
    (judgment,) = client.logs.list(file_id=evaluator["id"], include_parent=True)
    assert isinstance(judgment, EvaluatorLogResponse), type(judgment)
    assert (judgment.judgment, judgment.parent_id) == (True, log.id)
    assert judgment.parent is not None
    assert judgment.parent.id == log.id


def rate_and_correct(client: Humanloop) -> None:
    """Feedback of people: two Evaluators come with every Prompt."""
    prompt = client.prompts.upsert(path="support/reply", **PROMPT)
    assert prompt.evaluators is not None
    specs = {one.version.path: one.version.spec for one in prompt.evaluators if one.version}
    assert [one.state for one in prompt.evaluators] == ["active", "active"]
    assert specs["rating"].evaluator_type == specs["correction"].evaluator_type == "human"
    assert [(o.name, o.valence) for o in specs["rating"].options or []] == [
        ("good", "positive"),
        ("bad", "negative"),
    ]
    assert specs["correction"].return_type == "text"
    log = client.prompts.log(path="support/reply", output="At nine.")

    def rate(judgment: Any, user: str, path: str = "rating", **more: Any) -> Any:
        return client.evaluators.log(
            parent_id=log.id, path=path, judgment=judgment, user=user, **more
        )

    def given() -> dict[tuple[str, str], Any]:
        logs = client.logs.get(log.id)["evaluator_logs"]
        return {(one["evaluator"]["path"], one["user"]): one["judgment"] for one in logs}

    rate("good", "ada")
    rate("bad", "bob", marked_completed=True)
    rate("At ten.", "bob", "correction")
    assert given() == {
        ("rating", "ada"): "good",
        ("rating", "bob"): "bad",
        ("correction", "bob"): "At ten.",
    }
    rate("bad", "ada")
    taken = rate(None, "bob")
    assert given()["rating", "ada"] == "bad"
    assert given()["rating", "bob"] is None
    assert client.logs.get(taken.id)["parent"]["id"] == log.id
    refused(422, lambda: rate("so-so", "ada"))
    refused(422, lambda: rate(5, "ada"))
    refused(422, lambda: rate(["good"], "ada"))
    assert given()["rating", "ada"] == "bad"
    completed = [
        one.marked_completed for one in client.logs.list(file_id=rating_id(prompt), size=50)
    ]
    assert completed.count(True) == 1


def rating_id(prompt: Any) -> str:
    (found,) = (one.version.id for one in prompt.evaluators if one.version.path == "rating")
    return str(found)


def keep_to_the_spec(client: Humanloop) -> None:
    """Every type gives what its spec allows, and nothing else."""
    log = client.prompts.log(path="p", prompt=PROMPT, output="x")
    cases: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
        ({"return_type": "boolean"}, [True, False], [1, "yes", ["a"]]),
        ({"return_type": "number", "number_limits": LIMITS}, [1, 5.0], [0, 6, 2.5, "3", True]),
        ({"return_type": "number", "number_valence": "negative"}, [-1.5], ["x"]),
        ({"return_type": "select", "options": OPTIONS}, ["rude"], ["bad", ["kind"], 1, True]),
        (
            {"return_type": "multi_select", "options": OPTIONS},
            [["kind", "rude"], []],
            [["kind", "bad"], "kind"],
        ),
        ({"return_type": "text"}, ["anything"], [1, False, ["a"]]),
    ]
    for kind in ("human", "external"):
        for number, (fields, right, wrong) in enumerate(cases):
            path = f"{kind}/{number}"
            spec: Any = {**SPEC, "evaluator_type": kind, **fields}
            made = client.evaluators.upsert(path=path, spec=spec)
            for name, value in fields.items():
                shown = getattr(made.spec, name)
                plain = shown.dict() if hasattr(shown, "dict") else shown
                if name == "options":
                    plain = [one.dict() for one in shown]
                assert plain == value, (name, plain)
            for value in right:
                said = client.evaluators.log(parent_id=log.id, id=made.id, judgment=value)
                assert said.version_id == made.version_id
                assert client.logs.get(said.id)["judgment"] == value, (fields, value)
            for value in wrong:
                refused(
                    422,
                    lambda v=value, i=made.id: client.evaluators.log(  # type: ignore[misc]
                        parent_id=log.id, id=i, judgment=v
                    ),
                )
    failed = client.evaluators.log(parent_id=log.id, path="external/0", error="Traceback")
    shown = client.logs.get(failed.id)
    assert (shown["judgment"], shown["error"]) == (None, "Traceback")
    for change in (
        {"options": [{"name": "a", "valence": "great"}]},
        {"number_limits": {"min": 3, "max": 1}},
        {"return_type": "maybe"},
    ):
        spec = {**SPEC, "evaluator_type": "human", "return_type": "select", **change}
        refused(422, lambda s=spec: client.evaluators.upsert(path="wrong", spec=s))  # type: ignore[misc]


def monitor(client: Humanloop) -> None:
    """By version and by environment; Evaluators of Evaluators; patches; Flows when complete."""
    prompt = client.prompts.upsert(path="p", **PROMPT)
    code = client.evaluators.upsert(
        path="checks/fine", spec={**SPEC, "evaluator_type": "python", "code": CODE}
    )
    other = client.evaluators.upsert(
        path="checks/fine",
        spec={**SPEC, "evaluator_type": "python", "code": "def judge(log):\n    return False\n"},
    )
    assert other.version_id != code.version_id
    production = client.evaluators.list_environments(code.id)[0].id
    place: Any = {"evaluator_id": code.id, "environment_id": production}
    client.prompts.update_monitoring(prompt.id, activate=[place])
    meta = client.evaluators.upsert(path="checks/meta", spec=judge_spec("say {{log.output}} / no"))
    client.evaluators.update_monitoring(
        code.id, activate=[{"evaluator_version_id": meta.version_id}]
    )
    log = client.prompts.log(path="p", output="fine")
    first = judgments(client, log.id, 1)["checks/fine"]
    assert (first["judgment"], first["evaluator"]["version_id"]) == (True, code.version_id)
    nested = judgments(client, log.id, 1, below="checks/fine")["checks/meta"]
    assert (nested["judgment"], nested["parent_id"]) == (False, first["id"])
    client.prompts.update_log(prompt.id, log.id, output="changed")
    wait_until(lambda: judgments(client, log.id, 1)["checks/fine"]["judgment"] is False)
    client.evaluators.set_deployment(code.id, production, version_id=other.version_id)
    log = client.prompts.log(path="p", output="fine")
    judged = judgments(client, log.id, 1)["checks/fine"]
    assert judged["evaluator"]["version_id"] == other.version_id
    client.prompts.update_monitoring(prompt.id, deactivate=[place])
    judge_flows(client, code.version_id)
    assert client.logs.get(client.prompts.log(path="p", output="fine").id)["evaluator_logs"] == []


def judge_flows(client: Humanloop, version_id: str) -> None:
    flow = client.flows.upsert(path="f", attributes={"a": 1})
    client.flows.update_monitoring(flow.id, activate=[{"evaluator_version_id": version_id}])
    judge = client.evaluators.upsert(
        path="checks/tree", spec=judge_spec("say {{log.children[0].output}} / true")
    )
    client.flows.update_monitoring(flow.id, activate=[{"evaluator_version_id": judge.version_id}])
    log = client.flows.log(path="f", inputs={"q": "?"}, log_status="incomplete")
    client.tools.log(path="t", tool={}, trace_parent_id=log.id, output="below", inputs={})
    done = client.flows.log(path="f", inputs={}, output="fine", log_status="complete")
    judgments(client, done.id, 2)  # so much later, nobody has judged the other one
    assert client.logs.get(log.id)["evaluator_logs"] == []
    client.flows.update_log(log.id, log_status="complete", output="fine")
    found = judgments(client, log.id, 2)
    assert found["checks/fine"]["judgment"] is True
    assert found["checks/tree"]["output"] == "below\ntrue"


def judgments(
    client: Humanloop, log_id: str, count: int, below: str | None = None
) -> dict[str, Any]:
    """Return a Log's judgments by Evaluator (or those of one of them), once there are so many."""
    found: dict[str, Any] = {}

    def are_there() -> bool:
        log = client.logs.get(log_id)
        given = log["evaluator_logs"]
        if below is not None:
            (judgment,) = (one for one in given if one["evaluator"]["path"] == below)
            given = judgment["evaluator_logs"]
        found.update({one["evaluator"]["path"]: one for one in given})
        return len(given) >= count

    wait_until(are_there)
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.1)


def refused(status: int, call: Callable[[], Any]) -> None:
    refusal = None
    try:
        call()
    except ApiError as error:
        refusal = error
    assert refusal is not None, f"not refused with {status}"
    assert refusal.status_code == status, (refusal.status_code, refusal.body)
    assert status == 422 or refusal.body["detail"], refusal.body


SCENARIOS = {
    "feedback": rate_and_correct,
    "judges": judge_with_a_model,
    "monitors": monitor,
    "specs": keep_to_the_spec,
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Humanloop(api_key="hl_sk_test", base_url=sys.argv[2]))
