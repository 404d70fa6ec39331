"""A model for tests of calls: answers by what was said last, calls the tools it is told to call."""

from __future__ import annotations

import json
from typing import Any

from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, Request

TOOL_CALLS = (("call_1", "add", {"a": 1, "b": 2}), ("call_2", "ask_user", {"question": "sure?"}))


def answer(request: Request) -> Reply:
    """`fail NNN` fails, `use add,ask_user` calls these; after results it repeats them."""
    messages = request.body["messages"]
    last = messages[-1]
    said = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
    if last["role"] == "user" and said.startswith("fail "):
        return wire.error(int(said.split()[1]), "the model is tired")
    if last["role"] == "user" and said.startswith("use "):
        names = said.removeprefix("use ").split(",")
        return _reply(request, {"tool_calls": _calls(names)}, "tool_calls")
    if last["role"] == "tool":
        results = [m["content"] for m in messages if m["role"] == "tool"]
        return _reply(request, {"content": f"so: {', '.join(results)}"}, "stop")
    return _reply(request, {"content": f"you said {said}"}, "stop")


def _calls(names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for call_id, name, arguments in TOOL_CALLS
        if name in names
    ]


def _reply(request: Request, message: dict[str, Any], reason: str) -> Reply:
    model = request.body["model"]
    if not request.body.get("stream"):
        whole = wire.chat(model, message, reason)
        return Reply({**whole, "model": model})
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    if message.get("tool_calls"):
        calls = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
        deltas.append({"tool_calls": calls})
    words = (message.get("content") or "").split(" ")
    deltas += [{"content": f" {w}" if n else w} for n, w in enumerate(words) if w]
    events = [wire.chunk(model, delta) for delta in deltas]
    events += [wire.chunk(model, {}, reason), {**wire.chunk(model, None), "usage": wire.USAGE}]
    named = [{**event, "model": model} for event in events]
    return Reply(events=[(None, event) for event in [*named, "[DONE]"]])
