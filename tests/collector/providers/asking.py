"""What the tests of all providers ask, and how they read streams."""

from typing import Any

from kibitz_collector.providers import Delta, ModelRequest, Reply
from kibitz_collector.records import Json

WEATHER: Json = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}}
TIME: Json = {"name": "get_time", "description": "t", "parameters": {"type": "object"}}
DOT = "iVBORw0KGgo="
PICTURE: Json = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DOT}"}}
FAR_PICTURE: Json = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
STATUSES = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (404, "not_found_error"),
    (429, "rate_limit_error"),
    (500, "server_error"),
]


def ask(model: str = "hello", **more: Any) -> ModelRequest:
    return ModelRequest(**({"model": model, "messages": [said("hi")]} | more))


def said(content: Any, role: str = "user", **more: Any) -> Json:
    return {"role": role, "content": content, **more}


def read(items: Any) -> tuple[list[str], Reply]:
    *deltas, reply = items
    assert isinstance(reply, Reply)
    return [delta.text for delta in deltas if isinstance(delta, Delta)], reply
