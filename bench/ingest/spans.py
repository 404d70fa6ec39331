"""GenAI spans as an agent app sends them: about 2 KB of attributes each, in two dialects.

With the vocabulary `few` the text is made of sixty common words, with `zipf` of 20,000 whose
frequency falls with their rank, so that a text index costs what it costs on real text.
"""

import json
import random
from collections.abc import Callable

from bench.ingest.wire import Value

NEEDLE = "REQ-00000000"  # a word in every text; its digits are replaced in every batch

_COMMON = (
    "the a of to and in is that it for was on are with as they be at one have this from or had by "
    "hot word but what some we can out other were all there when up use your how said an each she "
    "model token prompt answer refund policy order customer vector index document retrieval tool"
)
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "gemini-2.5-pro")
_OPERATIONS = {
    "LLM": "chat",
    "TOOL": "execute_tool",
    "CHAIN": "invoke_agent",
    "RETRIEVER": "retrieval",
}
_RARE_COUNT = 20_000

Text = Callable[[random.Random, int], str]
Attributes = dict[str, Value]


def vocabulary(name: str) -> Text:
    """Return the maker of texts for `few` or `zipf`."""
    if name == "few":
        words = _COMMON.split()
        return lambda source, length: " ".join(source.choices(words, k=length // 4))[:length]
    source = random.Random(7)
    syllables = [consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in "aeiou"]
    rare = ["".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(_RARE_COUNT)]
    weights, total = [], 0.0
    for rank in range(1, _RARE_COUNT + 1):
        total += 1 / rank
        weights.append(total)
    return lambda source, length: " ".join(
        source.choices(rare, cum_weights=weights, k=length // 4)
    )[:length]


def attributes(source: random.Random, kind: str, dialect: str, size: int, text: Text) -> Attributes:
    """Make the attributes of one span of about `size` bytes."""
    question = f"{NEEDLE} {text(source, size // 5)}"
    context, answer = text(source, size // 3), text(source, size // 5)
    make = _genai if dialect == "genai" else _openinference
    found = make(source, kind, question, context, answer, text)
    left = size - sum(len(key) + len(str(value)) for key, value in found.items())
    if dialect == "genai":
        found["kibitz.metadata"] = json.dumps({"note": text(source, max(8, left - 20))})
        return found
    found["input.value"] = json.dumps({"question": question})
    found["input.mime_type"] = "application/json"
    found["output.value"] = json.dumps({"answer": text(source, max(20, left - len(question) - 90))})
    found["output.mime_type"] = "application/json"
    return found


def _genai(
    source: random.Random, kind: str, question: str, context: str, answer: str, text: Text
) -> Attributes:
    asked = [_message("system", context), _message("user", question)]
    return {
        "gen_ai.operation.name": _OPERATIONS[kind],
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": source.choice(_MODELS),
        "gen_ai.conversation.id": f"sess-{source.randrange(10_000)}",
        "gen_ai.usage.input_tokens": source.randrange(50, 4000),
        "gen_ai.usage.output_tokens": source.randrange(10, 900),
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps([_message("assistant", answer)]),
        "gen_ai.request.temperature": 0.2,
    }


def _message(role: str, content: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def _openinference(
    source: random.Random, kind: str, question: str, context: str, answer: str, text: Text
) -> Attributes:
    found: Attributes = {
        "openinference.span.kind": kind,
        "session.id": f"sess-{source.randrange(10_000)}",
        "user.id": f"user-{source.randrange(1000)}",
        "metadata": json.dumps({"tenant": f"t{source.randrange(50)}", "env": "prod"}),
    }
    if kind == "LLM":
        found |= {
            "llm.model_name": source.choice(_MODELS),
            "llm.provider": "openai",
            "llm.invocation_parameters": json.dumps({"temperature": 0.2, "max_tokens": 512}),
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": context,
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.content": question,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": answer,
            "llm.token_count.prompt": source.randrange(50, 4000),
            "llm.token_count.completion": source.randrange(10, 900),
        }
    elif kind == "RETRIEVER":
        for number in range(3):
            place = f"retrieval.documents.{number}.document"
            found[f"{place}.id"] = f"doc-{source.randrange(99_999)}"
            found[f"{place}.content"] = text(source, len(context) // 2)
            found[f"{place}.score"] = source.random()
    elif kind == "TOOL":
        found["tool.name"] = source.choice(("search", "lookup_order", "calculator"))
        found["tool.parameters"] = json.dumps({"q": context})
    return found
