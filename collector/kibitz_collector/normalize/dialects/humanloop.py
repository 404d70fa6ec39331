"""Humanloop's decorators (Python 0.8, Node 0.8): `humanloop.file.*`, `humanloop.log.*`.

Every value comes as text, nested objects as dotted keys, lists by index, tuples printed. Types are
recovered from the tool's own schema, which stands in the same span.
Source: recorded requests of humanloop 0.8.38.
"""

from typing import Any

from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Message

NAME = "humanloop"
RULES = {
    "session": ("humanloop.log.session_id",),
    "user": ("humanloop.log.user",),
    "environment": ("humanloop.log.environment",),
    "provider": ("humanloop.file.prompt.provider",),
    "model": ("humanloop.file.prompt.model",),
    "tokens_input": ("humanloop.log.prompt_tokens",),
    "tokens_output": ("humanloop.log.output_tokens",),
    "tokens_reasoning": ("humanloop.log.reasoning_tokens",),
    "finish": ("humanloop.log.finish_reason",),
    "error_message": ("humanloop.log.error",),
    "file_path": ("humanloop.file.path",),
    "log_id": ("humanloop.log.id",),
    "parent_log_id": ("humanloop.log.trace_parent_id",),
    "run_id": ("humanloop.log.run_id",),
    "datapoint_id": ("humanloop.log.source_datapoint_id",),
    "log_status": ("humanloop.log.log_status",),
    "output": ("humanloop.log.output",),
}
KINDS = {
    "humanloop.file.type": {
        "prompt": "prompt",
        "tool": "tool",
        "flow": "flow",
        "agent": "agent",
        "evaluator": "evaluator",
    }
}
_FILE = "humanloop.file."
INPUTS = "humanloop.log.inputs."
_MESSAGES = "humanloop.log.messages."
_OUTPUT = "humanloop.log.output_message."
METADATA = "humanloop.log.metadata."
FLAT = (_FILE, INPUTS, _MESSAGES, _OUTPUT, METADATA)
_CONTENT = ("function", "source_code", "setup_values", "attributes", "template")


def read_input(reading: Reading) -> list[Message]:
    """Read the flattened messages."""
    return messages.read_messages(reading.build(_MESSAGES))


def read_output(reading: Reading) -> Message | None:
    """Read the flattened output message."""
    return messages.read_output(reading.build(_OUTPUT))


def read_content(reading: Reading) -> Json | None:
    """Read what the File's Version is made of."""
    file = reading.build(_FILE)
    if not isinstance(file, dict):
        return None
    content = {key: file[key] for key in _CONTENT if file.get(key)}
    function = content.get("function")
    if isinstance(function, dict):
        content["function"] = _restore_function(function)
    return content or None


def read_inputs(reading: Reading, content: Json | None) -> Json | None:
    """Read the inputs, typed by the tool's schema when there is one."""
    inputs = reading.build(INPUTS)
    if inputs is None:
        return None
    if not isinstance(inputs, dict):
        inputs = {str(index): item for index, item in enumerate(inputs)}
    function = (content or {}).get("function")
    schema = function.get("parameters") if isinstance(function, dict) else None
    restored = _restore(inputs, schema)
    return restored if isinstance(restored, dict) else inputs


def read_metadata(reading: Reading) -> Json | None:
    """Read the flattened metadata."""
    found = reading.build(METADATA)
    return found if isinstance(found, dict) else None


def _restore_function(function: Json) -> Json:
    restored = dict(function)
    strict = values.flag(function.get("strict"))
    if strict is not None:
        restored["strict"] = strict
    if isinstance(function.get("parameters"), dict):
        restored["parameters"] = _restore_schema(function["parameters"])
    return restored


def _restore_schema(schema: Any) -> Any:
    """Undo what printing did to a JSON Schema: lists as `('a', 'b')` or `a,b`, booleans as text."""
    if not isinstance(schema, dict):
        return schema
    restored: Json = {}
    for key, value in schema.items():
        if key in ("required", "enum") and isinstance(value, str):
            restored[key] = values.texts(value) if value[:1] in "([" else value.split(",")
        elif key == "type" and isinstance(value, str) and "," in value:
            restored[key] = value.split(",")
        elif key in ("additionalProperties", "strict") and isinstance(value, str):
            as_flag = values.flag(value)
            restored[key] = value if as_flag is None else as_flag
        elif key == "properties" and isinstance(value, dict):
            restored[key] = {name: _restore_schema(inner) for name, inner in value.items()}
        elif isinstance(value, dict):
            restored[key] = _restore_schema(value)
        elif isinstance(value, list):
            restored[key] = [_restore_schema(item) for item in value]
        else:
            restored[key] = value
    return restored


def _restore(value: Any, schema: Any) -> Any:
    schema = schema if isinstance(schema, dict) else {}
    types = schema.get("type")
    wanted = types if isinstance(types, list) else [types]
    if isinstance(value, dict):
        properties = schema.get("properties")
        inner = properties if isinstance(properties, dict) else {}
        return {key: _restore(item, inner.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_restore(item, schema.get("items")) for item in value]
    if not isinstance(value, str):
        return value
    if value in ("None", "null") and "null" in wanted:
        return None
    return _restore_scalar(value, wanted)


def _restore_scalar(value: str, wanted: list[Any]) -> Any:
    if "string" in wanted:
        return value
    for kind, read in (
        ("integer", values.integer),
        ("number", values.number),
        ("boolean", values.flag),
    ):
        if kind in wanted:
            found = values.number(value) if kind == "integer" else read(value)
            if found is not None:
                return found
    if "array" in wanted:
        return values.texts(value) if value[:1] in "([" else value.split(",")
    return value


MESSAGES = (("humanloop.log.messages.*", read_input, (_MESSAGES,)),)
OUTPUTS = (("humanloop.log.output_message.*", read_output, (_OUTPUT,)),)
