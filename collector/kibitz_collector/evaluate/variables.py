"""What the template of an LLM judge may name: paths into the judged Log, and the names of 2023.

`{{ log.inputs.query }}`, `{{ log.messages[0].content }}`, `{{ testcase.target.answer }}`; and
`log_inputs`, `log_prompt`, `log_messages`, `log_output`, `log_error`.
"""

import re
from collections.abc import Mapping
from typing import Any

from kibitz_collector.errors import Invalid
from kibitz_collector.files import template
from kibitz_collector.records import Json

TESTCASE = "testcase"
"""The key under which a Log brings its datapoint along."""
_PART = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_MISSING = object()


def judge_inputs(prompt: Json, log: Json) -> Json:
    """Return the inputs of a judge's template that it asks for, from the Log it judges.

    A value that is null is an empty text; a path that leads nowhere is left out, so that filling
    the template names it.
    """
    found, language = prompt.get("template"), prompt.get("template_language")
    if not isinstance(found, str | list):
        return {}
    roots, inputs = _roots(log), dict[str, Any]()
    if language == "jinja":
        return {
            name: roots[name] for name in template.find_inputs(found, language) if name in roots
        }
    for name in template.find_inputs(found, language):
        value = read_path(roots, name)
        if value is not _MISSING:
            inputs[name] = "" if value is None else value
    return inputs


def read_path(value: Any, path: str) -> Any:
    """Follow a path of names and numbers; a sentinel that is nothing else: it leads nowhere."""
    at = 0
    for part in _PART.finditer(path):
        if part.start() != at:
            return _MISSING
        at = part.end()
        number, name = part.groups()
        if number is not None:
            value = _item(value, int(number))
        elif isinstance(value, Mapping):
            value = value.get(name, _MISSING)
        elif name.isdigit():
            value = _item(value, int(name))
        else:
            value = _MISSING
        if value is _MISSING:
            return _MISSING
    return value if at == len(path) else _MISSING


def _item(value: Any, number: int) -> Any:
    return value[number] if isinstance(value, list) and number < len(value) else _MISSING


def _roots(log: Json) -> Json:
    """Return the names a path may begin with."""
    whole = {name: value for name, value in log.items() if name != TESTCASE}
    roots = {
        "log": whole,
        "log_inputs": whole.get("inputs") or {},
        "log_prompt": asked_prompt(whole),
        "log_messages": whole.get("messages") or [],
        "log_output": whole.get("output"),
        "log_error": whole.get("error"),
    }
    testcase = log.get(TESTCASE)
    return roots if testcase is None else {**roots, TESTCASE: testcase}


def asked_prompt(log: Json) -> Any:
    """Return what the judged Log's model was asked: its template filled, then its messages.

    A text for a template that is a text, else messages. Without a template: the messages.
    """
    version = log.get(str(log.get("kind"))) or {}
    found, messages = version.get("template"), log.get("messages") or []
    if not isinstance(found, str | list):
        return messages
    filled = _fill(found, log.get("inputs") or {}, version.get("template_language"))
    if isinstance(filled, str):
        return filled if not messages else [{"role": "user", "content": filled}, *messages]
    return [*filled, *messages]


def _fill(found: Any, inputs: Json, language: Any) -> Any:
    try:
        return template.populate(found, inputs, language=language)
    except (Invalid, KeyError, TypeError, AttributeError):
        # The Log may have been posted without its inputs, and Versions come from spans too: the
        # template as it stands says more than nothing.
        return found
