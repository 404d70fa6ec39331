"""OpenAI's wire: chat, responses, embeddings, completions; the model names what is answered."""

from __future__ import annotations

from typing import Any

from tests.integrations.wire.server import Reply, Request

USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
CALLS = [
    {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
    },
    {
        "id": "call_2",
        "type": "function",
        "function": {"name": "get_time", "arguments": '{"zone": "CET"}'},
    },
]


def chat(model: str, message: dict[str, Any], reason: str = "stop", **more: Any) -> dict[str, Any]:
    """One chat completion of one choice."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, **message},
        "finish_reason": reason,
        "logprobs": None,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-2026",
        "choices": [choice],
        "usage": USAGE,
        "system_fingerprint": "fp_1",
        **more,
    }


def chunk(
    model: str, delta: dict[str, Any] | None, reason: str | None = None, index: int = 0
) -> Any:
    """One chunk of a streamed chat completion; without a delta it has no choice."""
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": reason}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": f"{model}-2026",
        "choices": choices,
        "system_fingerprint": "fp_1",
    }


DELTAS: dict[str, list[tuple[dict[str, Any], str | None]]] = {
    "hello": [
        ({"role": "assistant", "content": ""}, None),
        ({"content": "Hello"}, None),
        ({"content": ", "}, None),
        ({"content": "world"}, None),
        ({}, "stop"),
    ],
    "tools": [
        ({"role": "assistant", "content": None}, None),
        (
            {
                "tool_calls": [
                    {"index": 0, **CALLS[0], "function": {"name": "get_weather", "arguments": ""}}
                ]
            },
            None,
        ),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}, None),
        ({"tool_calls": [{"index": 1, **CALLS[1]}]}, None),
        ({}, "tool_calls"),
    ],
    "refusal": [
        ({"role": "assistant", "refusal": "I can"}, None),
        ({"refusal": "not"}, None),
        ({}, "stop"),
    ],
    "thinks": [({"reasoning_content": "hm"}, None), ({"content": "42"}, None), ({}, "stop")],
}
MESSAGES: dict[str, tuple[dict[str, Any], str]] = {
    "hello": ({"content": "Hello, world"}, "stop"),
    "tools": ({"tool_calls": CALLS}, "tool_calls"),
    "refusal": ({"refusal": "I cannot"}, "stop"),
    "thinks": ({"content": "42", "reasoning_content": "hm"}, "stop"),
    "json": ({"content": '{"city": "Oslo"}'}, "stop"),
}


def answer_chat(request: Request) -> Reply:
    model, body = request.body["model"], request.body
    if not body.get("stream"):
        message, reason = MESSAGES[model]
        reply = chat(model, message, reason)
        reply["choices"] = [{**reply["choices"][0], "index": i} for i in range(body.get("n") or 1)]
        return Reply(reply)
    events = [
        chunk(model, delta, reason, index)
        for delta, reason in DELTAS[model]
        for index in range(body.get("n") or 1)
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        events = [{**event, "usage": None} for event in events]
        events.append({**chunk(model, None), "usage": USAGE})
    return Reply(events=[(None, event) for event in [*events, "[DONE]"]])


RESPONSE_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 29,
}


def text_item(text: str) -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }


OUTPUTS: dict[str, list[dict[str, Any]]] = {
    "hello": [text_item("Hello, world")],
    "json": [text_item('{"city": "Oslo"}')],
    "tools": [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "call_1",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
            "status": "completed",
        },
    ],
    "failed": [],
}


def response(model: str, status: str = "completed") -> dict[str, Any]:
    """One response object."""
    is_failed = model == "failed"
    is_running = status == "in_progress"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": f"{model}-2026",
        "status": "failed" if is_failed and not is_running else status,
        "error": {"code": "server_error", "message": "it broke"}
        if is_failed and not is_running
        else None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [] if is_running else OUTPUTS[model],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if is_running else RESPONSE_USAGE,
        "service_tier": "default",
    }


def answer_response(request: Request) -> Reply:
    model = request.body["model"]
    if not request.body.get("stream"):
        return Reply(response(model))
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response(model, "in_progress")}
    ]
    for index, item in enumerate(OUTPUTS[model]):
        empty = (
            {**item, "content": []}
            if item["type"] == "message"
            else {**item, "status": "in_progress"}
        )
        where = {"output_index": index, "item_id": item["id"]}
        events.append({"type": "response.output_item.added", **where, "item": empty})
        if item["type"] == "message":
            place = {**where, "content_index": 0}
            part = {"type": "output_text", "text": "", "annotations": []}
            events.append({"type": "response.content_part.added", **place, "part": part})
            events += [
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
                for word in item["content"][0]["text"].partition(" ")
            ]
        events.append({"type": "response.output_item.done", **where, "item": item})
    final = response(model)
    events.append({"type": f"response.{final['status']}", "response": final})
    numbered = [{**event, "sequence_number": n} for n, event in enumerate(events)]
    return Reply(events=[(event["type"], event) for event in numbered])


def answer_embeddings(request: Request) -> Reply:
    texts = request.body["input"]
    count = 1 if isinstance(texts, str) else len(texts)
    # The client asks for base64 on its own: two little-endian floats, 0.5 and 0.25.
    is_packed = request.body.get("encoding_format") == "base64"
    vector = "AAAAPwAAgD4=" if is_packed else [0.5, 0.25]
    return Reply(
        {
            "object": "list",
            "model": f"{request.body['model']}-2026",
            "data": [
                {"object": "embedding", "index": i, "embedding": vector} for i in range(count)
            ],
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        }
    )


def answer_completion(request: Request) -> Reply:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "hello-2026"}

    def choice(text: str, reason: str | None) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}

    if not request.body.get("stream"):
        return Reply({**head, "choices": [choice("Hello", "stop")], "usage": USAGE})
    events: list[Any] = [
        {**head, "choices": [choice("Hel", None)]},
        {**head, "choices": [choice("lo", "stop")]},
    ]
    if (request.body.get("stream_options") or {}).get("include_usage"):
        events.append({**head, "choices": [], "usage": USAGE})
    return Reply(events=[(None, event) for event in [*events, "[DONE]"]])


def error(status: int, message: str) -> Reply:
    return Reply(
        {"error": {"message": message, "type": "invalid_request_error", "code": None}}, status
    )


def answer(request: Request) -> Reply:
    """The table: by the end of the path, then by the model."""
    if request.body.get("model") == "overloaded":
        return error(503, "overloaded")
    if request.path.split("?")[0].endswith("/chat/completions"):
        return answer_chat(request)
    if request.path.endswith("/responses"):
        return answer_response(request)
    if request.path.endswith("/embeddings"):
        return answer_embeddings(request)
    return answer_completion(request)
