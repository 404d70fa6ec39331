"""Rules, firings and channels through the API of a running collector."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from tests.collector.alert.traffic import SECRET, WORKSPACE, Receiver, call, judged

RULE = {
    "name": "Answers stopped being polite",
    "metric": 'pass_rate(judgment "support/is_polite") where file:"support/answer" by model',
    "comparison": "<",
    "threshold": 0.7,
    "min_sample": 2,
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'kibitz.db'}", evaluate=False)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def store(client: TestClient) -> Any:
    return client.app.state.store  # type: ignore[attr-defined]


def ok(response: Any) -> Any:
    assert response.is_success, response.text
    return response.json() if response.content else None


def wait_for(look: Callable[[], Any], is_there: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 10
    while not is_there(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def make_channel(client: TestClient, receiver: Receiver, name: str = "hook") -> str:
    body = {"name": name, "kind": "webhook", "config": {"url": receiver.url, "secret": SECRET}}
    return str(ok(client.post("/api/channels", json=body))["id"])


def test_a_rule_made_by_the_api_fires_to_its_channel(client: TestClient) -> None:
    with Receiver() as receiver:
        channel = make_channel(client, receiver)
        rule = ok(client.post("/api/alert-rules", json=RULE | {"channels": [channel]}))
        assert rule["state"] == "ok"
        assert rule["metric"].endswith("by model over 10m")
        bad = judged(store(client), [False, False], model="gpt-4o")
        assert receiver.arrived.wait(10)
    payload = receiver.requests[0].verify()
    assert payload["data"]["group"] == {"model": "gpt-4o"}
    (firing,) = ok(client.get("/api/firings"))["items"]
    assert (firing["state"], firing["group"]) == ("firing", {"model": "gpt-4o"})
    assert set(firing["evidence"]) == {one.id for one in bad}
    whole = wait_for(
        lambda: ok(client.get(f"/api/firings/{firing['id']}")),
        lambda found: found["deliveries"][0]["state"] == "delivered",
    )
    assert whole["deliveries"][0]["channel_id"] == channel
    (group,) = ok(client.get(f"/api/alert-rules/{rule['id']}"))["groups"]
    assert (group["state"], group["value"], group["sample"]) == ("firing", 0.0, 2)
    (listed,) = ok(client.get("/api/channels"))["items"]
    assert listed["last_delivery"]["state"] == "delivered"
    assert ok(client.get("/api/firings", params={"is_open": False}))["items"] == []


def test_a_rule_is_listed_changed_snoozed_and_removed(client: TestClient) -> None:
    rule = ok(client.post("/api/alert-rules", json=RULE))
    url = f"/api/alert-rules/{rule['id']}"
    changed = ok(client.put(url, json=RULE | {"name": "Renamed", "threshold": 0.5}))
    assert (changed["name"], changed["threshold"]) == ("Renamed", 0.5)
    snoozed = ok(client.post(f"{url}/snooze", json={"for_s": 60}))
    assert snoozed["snoozed_until_ns"] > time.time_ns()
    assert ok(client.post(f"{url}/snooze", json={"for_s": 0}))["snoozed_until_ns"] is None
    assert [one["id"] for one in ok(client.get("/api/alert-rules"))["items"]] == [rule["id"]]
    ok(client.delete(url))
    assert client.get(url).status_code == 404
    assert client.delete(url).status_code == 404


def test_a_metric_is_previewed_before_a_rule_is_made_of_it(client: TestClient) -> None:
    good = judged(store(client), [True, True, True], model="good")
    bad = judged(store(client), [True, False, False], model="bad")
    asked = {key: RULE[key] for key in ("metric", "comparison", "threshold", "min_sample")}
    found = ok(client.post("/api/alert-rules/preview", json=asked))
    assert (found["unit"], found["window_s"], found["late_count"]) == ("share", 600, 0)
    values = {one["group"]["model"]: one for one in found["values"]}
    assert (values["good"]["value"], values["good"]["would_fire"]) == (1.0, False)
    assert values["bad"]["value"] == pytest.approx(1 / 3)
    assert (values["bad"]["sample"], values["bad"]["would_fire"]) == (3, True)
    assert values["bad"]["logs"] == [bad[2].id, bad[1].id, bad[0].id]
    assert len(values["good"]["logs"]) == len(good)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"metric": "cuont(logs)"}, 400, "did you mean count?"),
        ({"metric": "count(logs) where kind:"}, 400, ""),
        ({"comparison": "=="}, 422, "comparison"),
        ({"threshold": "high"}, 422, "threshold"),
        ({"recovery_threshold": 0.1}, 422, "lies below"),
        ({"channels": ["chan_none"]}, 422, "no channel"),
        ({"for_s": -1}, 422, "for_s"),
        ({"name": ""}, 422, "name"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    client: TestClient, change: dict[str, Any], status: int, words: str
) -> None:
    response = client.post("/api/alert-rules", json=RULE | change)
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


def test_a_channel_is_tried_out_and_says_why_it_fails(client: TestClient) -> None:
    with Receiver() as receiver:
        channel = make_channel(client, receiver)
        assert ok(client.post(f"/api/channels/{channel}/test")) == {
            "is_delivered": True, "reason": None,
        }  # fmt: skip
        assert receiver.requests[0].verify()["type"] == "alert.test"
    outcome = ok(client.post(f"/api/channels/{channel}/test"))
    assert not outcome["is_delivered"]
    assert "ConnectError" in outcome["reason"]


def test_a_channels_secret_is_shown_once(client: TestClient) -> None:
    body = {"name": "a", "kind": "webhook", "config": {"url": "https://example.com/h?k=sesame"}}
    made = ok(client.post("/api/channels", json=body))
    assert made["secret"].startswith("whsec_")
    for response in (client.get("/api/channels"), client.get(f"/api/channels/{made['id']}")):
        assert made["secret"] not in response.text
        assert "sesame" not in response.text


def test_a_channel_is_renamed_replaced_and_removed_when_nobody_needs_it(client: TestClient) -> None:
    with Receiver() as first, Receiver() as second:
        channel = make_channel(client, first)
        config = {"url": second.url, "secret": SECRET}
        ok(client.put(f"/api/channels/{channel}", json={"name": "b", "config": config}))
        ok(client.put(f"/api/channels/{channel}", json={"name": "c"}))
        ok(client.post(f"/api/channels/{channel}/test"))
        assert (len(first.requests), len(second.requests)) == (0, 1)
    rule = ok(client.post("/api/alert-rules", json=RULE | {"channels": [channel]}))
    refused = client.delete(f"/api/channels/{channel}")
    assert refused.status_code == 422
    assert RULE["name"] in refused.json()["error"]["message"]
    ok(client.delete(f"/api/alert-rules/{rule['id']}"))
    ok(client.delete(f"/api/channels/{channel}"))
    assert ok(client.get("/api/channels"))["items"] == []


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("pigeon", {}, "there are webhook, slack, email, apprise"),
        ("webhook", {"url": "http://169.254.169.254/"}, "may not be reached"),
        ("webhook", {}, "needs a url"),
        ("slack", {"url": "https://example.com"}, "hooks.slack.com"),
        ("email", {"to": ["a@example.com"]}, "KIBITZ_SMTP_URL"),
        ("apprise", {"url": "json://localhost"}, "fixed host"),
    ],
)
def test_a_channel_that_is_not_allowed_is_refused(
    client: TestClient, kind: str, config: dict[str, Any], words: str
) -> None:
    response = client.post("/api/channels", json={"name": "x", "kind": kind, "config": config})
    assert response.status_code == 422
    assert words in response.json()["error"]["message"]


def test_a_channel_name_is_taken_once(client: TestClient) -> None:
    with Receiver() as receiver:
        make_channel(client, receiver)
        body = {"name": "hook", "kind": "webhook", "config": {"url": receiver.url}}
        assert client.post("/api/channels", json=body).status_code == 409


def test_the_kinds_of_channel_are_listed(client: TestClient) -> None:
    kinds = [one["kind"] for one in ok(client.get("/api/channels/kinds"))["items"]]
    assert kinds == ["webhook", "slack", "email", "apprise"]


def test_firings_come_page_by_page(client: TestClient) -> None:
    rule = RULE | {"metric": "count(logs) by user", "comparison": ">", "threshold": 0}
    ok(client.post("/api/alert-rules", json=rule | {"min_sample": None}))
    store(client).ingest(WORKSPACE, [call(user=f"u{number}") for number in range(5)])
    wait_for(lambda: ok(client.get("/api/firings"))["items"], lambda items: len(items) == 5)
    seen, cursor = [], {}
    while True:
        page = ok(client.get("/api/firings", params={"limit": 2} | cursor))
        seen += [one["group"]["user"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == ["u0", "u1", "u2", "u3", "u4"]
    assert client.get("/api/firings", params={"cursor": "x"}).status_code == 400
