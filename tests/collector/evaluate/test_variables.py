"""What a judge's template may name of the Log it judges."""

from typing import Any

import pytest

from kibitz_collector.evaluate.variables import judge_inputs
from kibitz_collector.files.template import populate

LOG: dict[str, Any] = {
    "id": "log_a",
    "kind": "prompt",
    "inputs": {"query": "Open?", "limit": 3, "empty": None},
    "messages": [{"role": "user", "content": "When?"}, {"role": "assistant", "content": None}],
    "output": "At nine.",
    "output_message": {"role": "assistant", "content": "At nine."},
    "error": None,
    "children": [{"kind": "tool", "output": "9"}],
    "prompt": {"template": "Answer {{query}}.", "temperature": 0.5},
}


def fill(text: str, log: dict[str, Any] = LOG, language: str | None = None) -> Any:
    prompt = {"template": text, "template_language": language}
    return populate(text, judge_inputs(prompt, log), language=language)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("log.inputs.query", "Open?"),
        ("log.inputs.limit", "3"),
        ("log.inputs.empty", ""),
        ("log.messages[0].content", "When?"),
        ("log.messages[1].content", ""),
        ("log.messages.0.role", "user"),
        ("log.output", "At nine."),
        ("log.output_message.content", "At nine."),
        ("log.output_message", '{"role":"assistant","content":"At nine."}'),
        ("log.error", ""),
        ("log.children[0].output", "9"),
        ("log.prompt.temperature", "0.5"),
        ("log_inputs", '{"query":"Open?","limit":3,"empty":null}'),
        ("log_output", "At nine."),
        ("log_error", ""),
    ],
)
def test_paths_and_the_names_of_2023_lead_into_the_log(place: str, text: str) -> None:
    assert fill(f"<{{{{ {place} }}}}>") == f"<{text}>"


def test_messages_are_json() -> None:
    assert fill("{{log_messages}}").startswith('[{"role":"user","content":"When?"},')


def test_log_prompt_is_the_filled_template_before_the_messages() -> None:
    without = {**LOG, "messages": []}
    assert fill("{{log_prompt}}", without) == "Answer Open?."
    assert fill("{{log_prompt}}").startswith('[{"role":"user","content":"Answer Open?."},{"role"')
    chat = {"template": [{"role": "system", "content": "Be {{query}}"}]}
    assert fill("{{log_prompt}}", {**without, "prompt": chat}) == (
        '[{"role":"system","content":"Be Open?"}]'
    )
    unfilled = {**without, "inputs": {}}
    assert fill("{{log_prompt}}", unfilled) == "Answer {{query}}."
    assert fill("{{log_prompt}}", {**LOG, "prompt": {}}).startswith('[{"role":"user","content":"W')


@pytest.mark.parametrize(
    "place",
    [
        "log.inputs.nothing",
        "log.messages[7].content",
        "log.output.x",
        "question",
        "testcase.target",
    ],
)
def test_path_that_leads_nowhere_is_left_out(place: str) -> None:
    assert judge_inputs({"template": f"{{{{ {place} }}}}"}, LOG) == {}


def test_testcase_is_there_when_the_log_brings_one() -> None:
    log = {**LOG, "testcase": {"id": "dp_1", "target": {"answer": "At nine."}}}
    assert fill("{{ testcase.target.answer }} {{log.id}}", log) == "At nine. log_a"
    assert judge_inputs({"template": "{{ log.testcase }}"}, log) == {}


def test_jinja_reads_the_same_names() -> None:
    text = (
        "{% for m in log.messages %}{{ m.role }} {% endfor %}{{ log.inputs.query }}{{ log_output }}"
    )
    assert fill(text, language="jinja") == "user assistant Open?At nine."


def test_template_of_no_form_has_no_inputs() -> None:
    assert judge_inputs({}, LOG) == {}
    assert judge_inputs({"template": {"a": 1}}, LOG) == {}
