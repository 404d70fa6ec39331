"""What went in and what came out of a span: messages, inputs, output."""

import re
from typing import Any

from kibitz import semconv as sc
from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.dialects import humanloop, openinference
from kibitz_collector.normalize.filing import is_schema
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.normalize.rules import MESSAGES, OUTPUTS
from kibitz_collector.records import Json, Message

_REPR = re.compile(r"<[\w.]+( object)? at 0x[0-9a-f]+>\Z")
# Kinds whose `input.value` and the like is the provider's request, not what a user put in.
_MODEL_CALLS = frozenset(("prompt", "embedding"))


def read_messages(reading: Reading) -> list[Message] | None:
    """Return the input messages of the first dialect that has some."""
    readers = MESSAGES if reading.span.events else reading.plan.messages
    for source, read, *_ in readers:
        found = read(reading)
        for message in found:
            if not messages.is_empty(message):
                reading.sources["messages"] = source
                return found
    return None


def read_output_message(reading: Reading) -> Message | None:
    """Return the answer of the first dialect that has one; one without content or calls is none."""
    readers = OUTPUTS if reading.span.events else reading.plan.outputs
    for source, read, *_ in readers:
        found = read(reading)
        if found is not None and not messages.is_empty(found):
            reading.sources["output_message"] = source
            return found
    return None


def read_inputs(reading: Reading) -> Json | None:
    """Return the inputs: named as such by the sender, else what a non-model call was given."""
    found = reading.found
    if "inputs" in found:
        return found["inputs"]  # type: ignore[no-any-return]  # its reader returns objects only
    if humanloop.INPUTS in reading.flat:
        inputs = humanloop.read_inputs(reading, humanloop.read_content(reading))
        if inputs is not None:
            reading.sources["inputs"] = "humanloop.log.inputs.*"
            return inputs
    if sc.PROMPT_VARIABLE in reading.flat:
        reading.sources["inputs"] = f"{sc.PROMPT_VARIABLE}*"
        return dict(reading.flat[sc.PROMPT_VARIABLE].pairs(reading.attributes))
    if reading.kind == "embedding":
        return _embedded(reading)
    if reading.kind in _MODEL_CALLS or "input" not in found:
        return None
    value = values.json_value(found["input"])
    source = reading.sources["input"]
    if source == "tool.parameters" and is_schema(value):
        return None
    reading.sources["inputs"] = source
    if value is None or isinstance(value, dict):
        return value or None
    return {"input": value}


def read_output(reading: Reading, message: Message | None) -> Any:
    """Return the output: the answer's text for model calls, the value returned for others."""
    found = reading.found
    if "output_exact" in found:
        reading.sources["output"] = reading.sources["output_exact"]
        return values.json_value(found["output_exact"])
    if message is not None:
        said = messages.message_text(message)
        if said is not None or reading.kind in _MODEL_CALLS:
            reading.sources["output"] = reading.sources["output_message"]
            return said
    if reading.kind == "embedding":
        return None
    if reading.kind == "retriever":
        documents = openinference.read_documents(reading)
        if documents is not None:
            reading.sources["output"] = "retrieval.documents.*"
            return documents
    if "output" not in found:
        return None
    return _plain_output(reading, found["output"])


def _plain_output(reading: Reading, raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    if raw[:1] == "<" and _REPR.match(raw):
        reading.sources.pop("output", None)  # the printed address of an object is not an output
        return None
    is_humanloop_text = (
        reading.sources["output"] == "humanloop.log.output" and reading.kind != "tool"
    )
    if is_humanloop_text and raw[:1] not in "{[":
        return values.text(raw)
    if reading.found.get("output_mime") == "text/plain":
        return raw
    return values.json_value(raw)


def _embedded(reading: Reading) -> Json | None:
    texts = openinference.read_embedded(reading)
    if texts:
        reading.sources["inputs"] = "embedding.embeddings.*"
        return {"input": texts}
    request = values.json_value(reading.found.get("input"))
    if isinstance(request, dict) and request.get("input") is not None:
        reading.sources["inputs"] = f"{reading.sources['input']} (input)"
        return {"input": request["input"]}
    return None
