"""Whatever is sent to whatever route: an answer below 500 that says in words what to fix."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.routing import Route

from kibitz_collector import routes
from kibitz_collector.access.keys import make_key
from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.store import Store, open_store
from kibitz_collector.store.writes import keys as key_writes
from tests.collector.evaluate.samples import GOOD, WORKSPACE, log_record

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO")
TEXTS = [
    "",
    "\0",
    "a\0b",
    "%",
    "💥",
    "../../etc/passwd",
    "'; DROP TABLE log;--",
    "-1",
    "1e400",
    "NaN",
    "²",
    str(2**31),
    str(2**63),
    str(-(2**63) - 1),
    "9" * 5000,
    "x" * 20_000,
    "\u202e" + "a" + "\u0301" * 5000,
    "(" * 10_000,
    "(" * 10_000 + ")" * 10_000,
    "NOT " * 5000 + "x",
    '"' * 9_999,
    "cost>1e999",
    "latency>9e99s",
    "tokens>" + "9" * 400,
    "started>9999999-01-01",
    "judgment.x:NaN",
    "*%_" * 2000,
    "AAAA",  # base64, but no cursor
    "W10",
    "WzFd",
    f"{2**64}.fire_x",
]
# What a database minds, PostgreSQL above all; the rest is for the readers of filters and cursors.
STORED_TEXTS = ["a\0b", "💥", str(2**31), str(2**63), "-1", "x" * 20_000, "(" * 10_000]
STORED_VALUES = [r'"\ud800"', r'"a\u0000b"', str(2**31), str(2**63)]
IMPORT = "/v5/import/otel/v1/traces"  # the official exporters name no type, or another one
READ_PARAMETERS = ("q", "cursor", "after")
FORM_TEXTS = ["", "a\0b", "💥", "1e400", "NaN", "9" * 5000, "(" * 10_000]
JSON_VALUES = [
    r'"\ud800"',
    r'{"\ud800": "\ud800"}',
    r'"a\u0000b"',
    "NaN",
    "-Infinity",
    "1e400",
    "-1",
    str(2**63),
    "9" * 5000,
    "null",
    "true",
    "[]",
    "{}",
    '[null, 1, "a", {}]',
    '""',
    '"' + "x" * 300_000 + '"',
    '"' + "(" * 10_000 + '"',
    '"../../x"',
    "[" * 500 + "]" * 500,
    "[" * 60_000 + "]" * 60_000,
]
NO_JSON = [
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    '{"a": 1}'.encode("utf-16"),
]
FORMS: dict[str, dict[str, str]] = {
    "/login": {"key": "x", "next": "/"},
    "/logout": {},
    "/logs/{log_id:path}/judge": {"evaluator": "rating", "value": "good"},
    "/monitors": {
        "path": "checks/form",
        "code": GOOD,
        "return_type": "boolean",
        "options": "",
        "on": "support/answer",
    },
    "/monitors/change": {"action": "on", "id": "mon_none"},
    "/alerts": {
        "name": "x",
        "metric": "count(logs) over 10m",
        "comparison": ">",
        "threshold": "1000000",
        "min_sample": "1",
        "for_s": "0",
        "no_data": "ignore",
        "channel": "",
    },
    "/alerts/change": {"action": "on", "id": "rule_none"},
    "/alerts/channels": {"name": "x", "url": "http://127.0.0.1:9/", "secret": ""},
    "/health/replay": {"id": "1"},
    "/alerts/channels/change": {"action": "test", "id": "chan_none"},
}


def says_why(response: httpx.Response) -> bool:
    """Tell whether a refusal has words in it: a page, our form, or that of the v5 contract."""
    if response.headers["content-type"].startswith("text/html"):
        return True
    body = response.json()
    if "detail" in body:
        return bool(body["detail"])
    return bool(body["error"]["message"])


class Target:
    """A collector in this process with something of everything in it."""

    def __init__(self, client: TestClient, known: dict[str, str], *, is_postgres: bool) -> None:
        self.client = client
        self.known = known
        self.texts = STORED_TEXTS if is_postgres else TEXTS
        self.form_texts = STORED_TEXTS[:3] if is_postgres else FORM_TEXTS
        self.is_postgres = is_postgres
        self.api: dict[str, Any] = client.get("/openapi.json").json()

    def path(self, template: str) -> str:
        for name, value in self.known.items():
            template = template.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
        return template

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        response = self.client.request(method, path, follow_redirects=False, **more)
        what = f"{method} {path[:200]} {str(more)[:200]}: {response.status_code}"
        assert response.status_code < 500, f"{what} {response.text[:300]}"
        if response.status_code >= 400 and method != "HEAD":
            assert says_why(response), f"{what} {response.text[:300]}"
        return response


@pytest.fixture(scope="module", params=["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    folder: Path = tmp_path_factory.mktemp("collector")
    url = f"sqlite:///{folder / 'kibitz.db'}"
    if request.param == "pg":
        url = request.getfixturevalue("module_postgres_url")
    settings = Settings(database_url=url, secret_key="x" * 40, allow_private_webhooks=True)
    store = open_store(url)
    key = make_key()
    with store.write() as session:
        key_writes.create_key(
            session, WORKSPACE, name="test", role="full", key_hash=key.hash, hint=key.hint
        )
    app = create_app(settings, store)
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    with client:
        client.headers["X-API-KEY"] = key.text
        yield Target(client, _fill(client, store), is_postgres=request.param == "pg")
    store.close()


def _fill(client: TestClient, store: Store) -> dict[str, str]:
    """Make one of everything; returns path parameters that lead somewhere."""
    log = log_record("log_a", kind="flow", path="support/answer", session_id="chat", user="u1")
    store.ingest(WORKSPACE, [log, log_record("log_b", trace="b" * 32)])

    def make(url: str, **body: Any) -> str:
        made = client.post(url, json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    evaluator = make("/api/evaluators", path="checks/good", code=GOOD)
    config = {"url": "http://127.0.0.1:9/hook"}
    channel = make("/api/channels", name="ops", kind="webhook", config=config)
    rule = make(
        "/api/alert-rules",
        **{"name": "r", "metric": "count(logs) over 10m", "comparison": ">", "threshold": 10**6},
    )
    return {
        "log_id": "log_a",
        "trace_id": "a" * 32,
        "session_id": "chat",
        "seq": "0",
        "evaluator": "checks/good",
        "evaluator_id": evaluator,
        "monitor_id": make("/api/monitors", evaluator="checks/good", on="support/answer"),
        "channel_id": channel,
        "rule_id": rule,
        "firing_id": "fire_none",
        "key_id": "key_none",
        "name": "openai",
    }


def operations(target: Target) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in target.api["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def sound_body(target: Target, operation: dict[str, Any]) -> Any:
    """Return a body that fits the schema, with ids that are known; None: it takes no JSON."""
    forms = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in forms:
        return None
    body = sample(target, forms["application/json"]["schema"])
    known = {"evaluator": "checks/good", "on": "support/answer", "code": GOOD, "log_id": "log_a"}
    known |= {"config": {"url": "http://127.0.0.1:9/hook"}, "kind": "webhook"}
    known |= {"metric": "count(logs) over 10m", "start_time": "2026-11-21T10:00:00Z"}
    if not isinstance(body, dict):
        return body
    return {name: known.get(name, value) for name, value in body.items()}


def sample(target: Target, schema: dict[str, Any]) -> Any:
    while "$ref" in schema:
        schema = target.api["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    if schema.get("default") is not None:
        return schema["default"]
    if "anyOf" in schema:  # what may be left out
        return None
    if "properties" in schema:
        return {name: sample(target, part) for name, part in schema["properties"].items()}
    simple = {"string": "x", "integer": 1, "number": 1.0, "boolean": True, "array": []}
    return simple.get(schema.get("type", ""), {})


def pages() -> list[Route]:
    live = ("/logs/live",)  # never ends
    return [route for route in routes.ROUTES if isinstance(route, Route) and route.path not in live]


def test_wrong_methods_are_refused(target: Target) -> None:
    for path, item in target.api["paths"].items():
        for method in METHODS:
            if method.lower() not in item:
                assert target.ask(method, target.path(path)).status_code in (404, 405, 422)
    known: dict[str, set[str]] = {}
    for route in pages():
        known.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in known.items():
        for method in METHODS:
            if method not in methods:
                assert target.ask(method, target.path(path)).status_code in (404, 405)


def test_hostile_addresses_are_answered(target: Target) -> None:
    for method, path, operation in operations(target):
        body = sound_body(target, operation)
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            for text in target.texts if name in READ_PARAMETERS else STORED_TEXTS:
                value = quote(text, safe="")
                if parameter["in"] == "path":
                    address = target.path(path.replace(f"{{{name}}}", value))
                else:
                    address = f"{target.path(path)}?{name}={value}"
                target.ask(method, address, json=body)


def test_hostile_addresses_of_pages_are_answered(target: Target) -> None:
    for route in pages():
        if "GET" not in (route.methods or ()):
            continue
        for text in target.texts:
            value = quote(text, safe="")
            names = ("q", "cursor", "range", "view", "problem", "next", "session", "after")
            query = "&".join(f"{name}={value[:6000]}" for name in names)
            html = {"Accept": "text/html"}
            target.ask("GET", f"{target.path(route.path)}?{query}", headers=html)
            if "{" in route.path:
                target.ask("GET", route.path.partition("{")[0] + value, headers=html)
            for name in ("q", "cursor") if route.path in ("/logs", "/sessions") else ():
                target.ask("GET", f"{route.path}?{name}={value}", headers=html)


def test_hostile_forms_are_answered(target: Target) -> None:
    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    posts = [route for route in pages() if "POST" in (route.methods or ())]
    paths = [route.path for route in posts if not route.path.startswith("/v1/")]
    assert sorted(paths) == sorted(FORMS)
    for path, form in FORMS.items():
        address = target.path(path)
        for content in (b"", b"\xff", b"a=%ff", b"&" * 10_000, b"a=1&" * 10_000, b"x" * 600_000):
            target.ask("POST", address, content=content, headers=headers)
        for name in form:
            for text in target.form_texts:
                target.ask("POST", address, data={**form, name: text}, headers=headers)


def test_hostile_bodies_are_answered(target: Target) -> None:
    headers = {"Content-Type": "application/json"}
    for method, path, operation in operations(target):
        body = sound_body(target, operation)
        if body is None:
            continue
        address = target.path(path)
        sound = target.ask(method, address, json=body)
        assert "body." not in sound.text, (path, body, sound.text)  # else nothing below gets deep
        for content in NO_JSON:
            answer = target.ask(method, address, content=content, headers=headers)
            assert answer.status_code == 400, (path, content[:20])
        for content in (b"", b"null", b"[]", b'"x"', b'{"a": 1, "a": 2}'):
            target.ask(method, address, content=content, headers=headers)
        plain = target.ask(method, address, content=json.dumps(body).encode())
        if path != IMPORT:
            assert plain.status_code == 415
            assert "application/json" in plain.text
        for name in body if isinstance(body, dict) else ():
            target.ask(method, address, json={k: v for k, v in body.items() if k != name})
            is_large = target.is_postgres or path.startswith("/v5/")
            for value in STORED_VALUES if is_large else JSON_VALUES:
                text = json.dumps({**body, name: "@@"}).replace('"@@"', value)
                target.ask(method, address, content=text.encode(), headers=headers)


def test_endless_bodies_are_cut_off(target: Target) -> None:
    for method, path, operation in operations(target):
        if "requestBody" in operation:
            headers = {"Content-Type": "application/json"}
            answer = target.ask(
                method, target.path(path), content=iter([b" " * 2**20] * 21), headers=headers
            )
            assert answer.status_code == 413


def test_the_collector_is_as_well_as_before(target: Target) -> None:
    assert target.ask("GET", "/api/logs/log_b").json()["body"]["output"] == "fine"
    assert target.ask("GET", "/readyz").json() == {"status": "ready"}
