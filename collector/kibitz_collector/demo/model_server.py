"""A stand-in model server that speaks OpenAI's chat wire on loopback, for the demo.

It is no model: it picks words from a small table. What it does faithfully is the protocol: JSON and
streamed replies, tool calls, usage, errors.
Source: OpenAI API reference, chat completions, 2025-06.
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ORDER = re.compile(r"\b([A-Z]\d{3,6})\b")
_CHUNK_PAUSE_S = 0.004
_FRIENDLY = (
    "Thank you for asking! {fact} Please let me know if I can help with anything else.",
    "Happy to help! {fact} Please write again any time.",
    "Thanks for your patience. {fact} I am sorry for the wait, and glad to help further.",
)
_CURT = (
    "{fact} Anything else? No? Good.",
    "{fact} Read the mail we sent you.",
    "{fact} That's it.",
)


def answer_to(request: dict[str, Any], turn: int) -> dict[str, Any]:
    """Pick the reply to one request: `{content}` or `{tool_calls}` as a message has them.

    Asks for the first offered tool when the user names an order and no tool has answered yet; is
    curt when the system message asks for it.
    """
    messages = request["messages"]
    system = " ".join(_text(m) for m in messages if m["role"] in ("system", "developer"))
    user = next((_text(m) for m in reversed(messages) if m["role"] == "user"), "")
    results = [_text(m) for m in messages if m["role"] == "tool"]
    order = _ORDER.search(user)
    if request.get("tools") and order and not results:
        name = request["tools"][0]["function"]["name"]
        call = {"name": name, "arguments": json.dumps({"order_id": order.group(1)})}
        return {"tool_calls": [{"id": f"call_{turn}", "type": "function", "function": call}]}
    if results:
        fact = f"Your order: {_told(results[-1])}."
    elif "refund" in user.lower():
        fact = "Refunds take five working days."
    else:
        fact = "Our shop is open around the clock."
    manner = _CURT if "curt" in system.lower() else _FRIENDLY
    return {"content": manner[turn % len(manner)].format(fact=fact)}


class ModelServer:
    """The server on a free port of loopback; use as a context manager."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    turns = itertools.count(1)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            return self._json(404, _error(f"unknown path {self.path}", "invalid_request_error"))
        try:
            request = json.loads(body)
            messages = request["messages"]
        except (ValueError, KeyError, TypeError):
            return self._json(400, _error("messages: a list is required", "invalid_request_error"))
        if any("overloaded" in _text(message) for message in messages if message["role"] == "user"):
            return self._json(503, _error("The model is overloaded.", "server_error"))
        turn = next(self.turns)
        reply = answer_to(request, turn)
        head = {
            "id": f"chatcmpl-demo{turn}",
            "created": int(time.time()),
            "model": request.get("model", "stand-in"),
        }
        usage = _usage(messages, reply)
        if not request.get("stream"):
            finish = "tool_calls" if "tool_calls" in reply else "stop"
            message = {"role": "assistant", "content": reply.get("content"), **reply}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self._json(200, whole)
        with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
        return self._stream(head, reply, usage if with_usage else None)

    def _stream(self, head: dict[str, Any], reply: dict[str, Any], usage: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for delta, finish in _deltas(reply):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            self._event({**head, "object": "chat.completion.chunk", "choices": [choice]})
            time.sleep(_CHUNK_PAUSE_S)
        if usage is not None:
            chunk = {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
            self._event(chunk)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the demo prints what matters."""


def _deltas(reply: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": ""}, None
    for index, call in enumerate(reply.get("tool_calls", ())):
        yield {"tool_calls": [{"index": index, **call}]}, None
    for word in re.findall(r"\S+\s*", reply.get("content") or ""):
        yield {"content": word}, None
    yield {}, "tool_calls" if "tool_calls" in reply else "stop"


def _usage(messages: list[dict[str, Any]], reply: dict[str, Any]) -> dict[str, int]:
    # Four characters a token: near enough for a stand-in.
    prompt = sum(len(_text(message)) for message in messages) // 4 + 3 * len(messages)
    completion = len(reply.get("content") or json.dumps(reply)) // 4 + 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _told(result: str) -> str:
    try:
        facts = json.loads(result)
    except ValueError:
        return result
    return (
        ", ".join(f"{name} {value}" for name, value in facts.items())
        if isinstance(facts, dict)
        else result
    )


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def _error(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
