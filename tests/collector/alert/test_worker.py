"""From stored Logs to firings to received webhooks, on both databases."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kibitz_collector.access.seal import Sealer
from kibitz_collector.alert import editing
from kibitz_collector.alert.worker import AlertWorker, DeliveryWorker
from kibitz_collector.background import Loop
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid
from kibitz_collector.store import Store, open_store
from kibitz_collector.store.alerts import Delivery, Firing, Rule
from kibitz_collector.store.queries import alerts as alert_queries
from tests.collector.alert.traffic import (
    SECRET,
    WORKSPACE,
    Clock,
    Receiver,
    call,
    judged,
    reply,
)

POLITE = 'pass_rate(judgment "support/is_polite")'


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url, secret_key="s" * 40)


@pytest.fixture
def world(store: Store, settings: Settings, clock: Clock) -> "World":
    return World(store, settings, clock)


class World:
    """A store, its workers, and a clock to move."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self.alerts = AlertWorker(store, settings, clock)
        self.deliveries = DeliveryWorker(store, settings, clock)

    def restart(self) -> None:
        self.alerts = AlertWorker(self.store, self.settings, self.clock)

    def channel(self, url: str, name: str = "hook") -> str:
        config = {"url": url, "secret": SECRET}
        made, _ = editing.create_channel(
            self.store, self.settings, WORKSPACE, name, "webhook", config
        )
        return made.id

    def rule(self, metric: str, comparison: Any, threshold: float, **more: Any) -> Rule:
        draft = editing.draft_rule("quality", metric, comparison, threshold, **more)
        return editing.create_rule(self.store, WORKSPACE, draft)

    def look(self, seconds: float = 1.0, times: int = 1) -> None:
        for _ in range(times):
            # Arrival is stamped by the real clock: ours must never be behind it.
            self.clock.now_ns = max(self.clock.now_ns, time.time_ns())
            self.clock.go(seconds)
            self.alerts.run_once()

    def deliver(self) -> None:
        while self.deliveries.run_once():
            pass

    def firings(self, **filters: Any) -> list[Firing]:
        with self.store.read() as session:
            return alert_queries.list_firings(session, WORKSPACE, **filters).items

    def told(self, firing: Firing) -> list[Delivery]:
        with self.store.read() as session:
            return alert_queries.deliveries_of(session, firing.id)

    def states(self, rule: Rule) -> dict[tuple[str | None, ...], str]:
        with self.store.read() as session:
            states = alert_queries.states_of(session, rule.id)
        return {group: state.state for group, state in states.items()}


def test_a_drop_in_quality_is_told_by_signed_webhook_and_so_is_the_recovery(world: World) -> None:
    with Receiver() as receiver:
        rule = world.rule(
            f"{POLITE} over 10m", "<", 0.7, min_sample=5, channels=(world.channel(receiver.url),)
        )
        judged(world.store, [True] * 5)
        world.look()
        assert world.firings() == []
        bad = judged(world.store, [False] * 5)
        world.look(times=5)
        world.deliver()
        judged(world.store, [True] * 20)
        world.look(seconds=30, times=5)
        world.deliver()

    (firing,) = world.firings()
    assert (firing.value, firing.sample, firing.reason) == (0.5, 10, "threshold")
    assert firing.evidence == [one.id for one in reversed(bad)][:3]
    assert (firing.close_reason, firing.closed_sample) == ("recovered", 30)
    first, second = receiver.requests
    opened, closed = first.verify(), second.verify()
    assert (opened["type"], closed["type"]) == ("alert.firing", "alert.resolved")
    data = opened["data"]
    assert data["title"] == "FIRING: quality"
    assert (data["value"], data["threshold"], data["comparison"]) == (0.5, 0.7, "<")
    assert (data["sample"], data["window_s"], data["group"]) == (10, 600, {})
    assert data["logs"][0]["url"].endswith(f"/logs/{bad[-1].id}")
    assert data["url"] in data["text"]
    assert data["url"].endswith(f"/alerts#{firing.id}")
    assert data["rule"] == {"id": rule.id, "name": "quality"}
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_a_storm_of_ten_thousand_bad_logs_is_one_firing_and_one_recovery(world: World) -> None:
    with Receiver() as receiver:
        channel = world.channel(receiver.url)
        world.rule("error_rate(logs) over 1m", ">", 0.5, channels=(channel,))
        for _ in range(20):
            world.store.ingest(WORKSPACE, [call(status="error") for _ in range(500)])
            world.look(0.5)
            world.deliver()
        world.look(times=30)
        world.look(seconds=61)
        world.look(times=5)
        world.deliver()
    (firing,) = world.firings()
    assert firing.close_reason == "no_data"
    assert [one.payload["type"] for one in receiver.requests] == [
        "alert.firing", "alert.resolved",
    ]  # fmt: skip


def test_a_flapping_value_is_told_once(world: World) -> None:
    with Receiver() as receiver:
        channel = world.channel(receiver.url)
        world.rule("error_rate(logs) over 10m", ">", 0.5, channels=(channel,))
        world.store.ingest(WORKSPACE, [call(status="error"), call()])
        for _ in range(10):  # above, back on the threshold, above ...
            world.store.ingest(WORKSPACE, [call(status="error")])
            world.look()
            world.store.ingest(WORKSPACE, [call()])
            world.look()
        world.deliver()
    assert len(world.firings()) == 1
    assert len(receiver.requests) == 1


def test_a_rule_by_model_fires_for_the_bad_model_only(world: World) -> None:
    rule = world.rule(f"{POLITE} by model over 10m", "<", 0.7)
    judged(world.store, [True] * 3, model="good")
    judged(world.store, [False] * 3, model="bad")
    world.look(times=3)
    (firing,) = world.firings()
    assert firing.group == ("bad",)
    assert world.states(rule) == {("bad",): "firing"}


def test_groups_that_are_fine_and_gone_are_forgotten(world: World) -> None:
    rule = world.rule("count(logs) by user over 1m", ">", 1)
    world.store.ingest(WORKSPACE, [call(user="u1"), call(user="u1"), call(user="u2")])
    world.look()
    assert world.states(rule) == {("u1",): "firing"}
    world.look(seconds=61)
    world.look(seconds=61, times=2)
    assert world.states(rule) == {}
    assert [one.close_reason for one in world.firings()] == ["recovered"]


def test_a_restart_in_the_middle_of_a_window_forgets_nothing(world: World) -> None:
    rule = world.rule(f"{POLITE} over 10m", "<", 0.7, min_sample=10, for_s=60)
    judged(world.store, [False] * 5)
    world.look()
    world.restart()
    judged(world.store, [False] * 5)
    world.look()
    assert world.states(rule) == {(): "pending"}
    world.restart()
    world.look(seconds=61)
    world.restart()
    world.look(times=3)
    (firing,) = world.firings()
    assert firing.sample == 10


def test_silence_fires_once_on_time_and_is_over_when_data_is_back(world: World) -> None:
    world.rule("error_rate(logs) over 1m", ">", 0.5, no_data="fire")
    world.store.ingest(WORKSPACE, [call()])
    world.look(seconds=58)
    assert world.firings() == []
    world.look(times=4)
    (firing,) = world.firings()
    assert (firing.reason, firing.closed_ns) == ("no_data", None)
    world.look(times=5)
    assert len(world.firings()) == 1


def test_a_collector_that_was_down_does_not_take_its_absence_for_silence(world: World) -> None:
    world.rule("error_rate(logs) over 10m", ">", 0.5, no_data="fire")
    world.rule("count(logs) over 10m", "<", 1)
    world.clock.go(3600)
    world.restart()
    world.look(seconds=1, times=3)
    assert world.firings() == []
    world.look(seconds=600)
    assert sorted(one.reason for one in world.firings()) == ["no_data", "threshold"]


def test_two_collectors_evaluating_at_once_open_one_firing_and_send_one_message(
    world: World,
) -> None:
    with Receiver() as receiver:
        world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        world.store.ingest(WORKSPACE, [call()])
        world.clock.now_ns = time.time_ns() + 10**9
        workers = [AlertWorker(world.store, world.settings, world.clock) for _ in range(4)]
        start = threading.Barrier(len(workers))

        def look(worker: AlertWorker) -> None:
            start.wait()
            worker.run_once()

        threads = [threading.Thread(target=look, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        senders = [DeliveryWorker(world.store, world.settings, world.clock) for _ in range(2)]
        assert [one.run_once() for one in senders]
        for sender in senders:
            while sender.run_once():
                pass
    assert len(world.firings()) == 1
    assert len(receiver.requests) == 1


def test_a_snoozed_rule_is_silent_and_tells_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        rule = world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        editing.snooze_rule(world.store, WORKSPACE, rule.id, 120)
        world.store.ingest(WORKSPACE, [call()])
        world.look(times=3)
        world.deliver()
        assert len(world.firings()) == 1
        assert receiver.requests == []
        world.look(seconds=130)
        world.deliver()
        assert [one.payload["type"] for one in receiver.requests] == ["alert.firing"]


def test_deleting_a_rule_ends_its_firing_and_tells_so(world: World) -> None:
    with Receiver() as receiver:
        rule = world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        editing.delete_rule(world.store, world.settings, WORKSPACE, rule.id)
        world.clock.go(1)
        world.deliver()
    (firing,) = world.firings()
    assert firing.close_reason == "rule_deleted"
    assert [one.payload["data"]["reason"] for one in receiver.requests] == [
        "threshold", "rule_deleted",
    ]  # fmt: skip


def test_changing_the_condition_ends_what_is_open_and_begins_anew(world: World) -> None:
    rule = world.rule("count(logs)", ">", 0)
    world.store.ingest(WORKSPACE, [call()])
    world.look()
    draft = editing.draft_rule("renamed", "count(logs)", ">", 5)
    changed = editing.update_rule(world.store, world.settings, WORKSPACE, rule.id, draft)
    world.look()
    (firing,) = world.firings()
    assert firing.close_reason == "rule_changed"
    assert changed.name == "renamed"
    assert world.states(changed) == {}


def test_renaming_a_rule_leaves_its_firing_open(world: World) -> None:
    rule = world.rule("count(logs)", ">", 0)
    world.store.ingest(WORKSPACE, [call()])
    world.look()
    draft = editing.draft_rule("renamed", "count(logs)", ">", 0)
    editing.update_rule(world.store, world.settings, WORKSPACE, rule.id, draft)
    world.look(times=2)
    (firing,) = world.firings()
    assert firing.closed_ns is None


def test_a_failing_receiver_gets_the_same_message_again_until_it_takes_it(world: World) -> None:
    def answer(handler: Any, number: int) -> None:
        reply(handler, 500 if number <= 5 else 200)

    with Receiver(answer) as receiver:
        world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        for _ in range(5):
            world.deliver()
            (delivery,) = world.told(world.firings()[0])
            assert (delivery.state, delivery.last_error) == ("waiting", "the receiver answered 500")
            before = len(receiver.requests)
            world.deliver()  # not due yet
            assert len(receiver.requests) == before
            world.clock.now_ns = delivery.due_ns
        world.deliver()
        world.clock.go(100_000)
        world.deliver()
    assert len(receiver.requests) == 6
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1
    assert len({one.body for one in receiver.requests}) == 1
    for request in receiver.requests:
        request.verify()
    (delivery,) = world.told(world.firings()[0])
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("delivered", 6, None)


def test_a_dead_receiver_is_given_up_within_a_day_with_the_reason(world: World) -> None:
    with Receiver() as receiver:
        url = receiver.url
    world.rule("count(logs)", ">", 0, channels=(world.channel(url),))
    world.store.ingest(WORKSPACE, [call()])
    world.look()
    (firing,) = world.firings()
    attempts = 0
    while (delivery := world.told(firing)[0]).state == "waiting":
        world.clock.now_ns = max(world.clock.now_ns, delivery.due_ns)
        world.deliver()
        attempts += 1
        assert attempts < 60
    assert delivery.state == "failed"
    assert "given up after" in (delivery.last_error or "")
    assert "ConnectError" in (delivery.last_error or "")
    assert world.clock.now_ns <= delivery.give_up_ns


def test_a_receiver_that_is_gone_is_not_asked_again(world: World) -> None:
    with Receiver(lambda handler, number: reply(handler, 410)) as receiver:
        world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        world.deliver()
        world.clock.go(100_000)
        world.deliver()
    assert len(receiver.requests) == 1
    (delivery,) = world.told(world.firings()[0])
    assert delivery.state == "failed"


def test_the_recovery_is_told_after_the_firing_even_when_that_was_delayed(world: World) -> None:
    def answer(handler: Any, number: int) -> None:
        reply(handler, 503 if number == 1 else 200)

    with Receiver(answer) as receiver:
        channel = world.channel(receiver.url)
        world.rule("count(logs) over 1m", ">", 0, channels=(channel,), recover_s=0)
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        world.deliver()
        world.look(seconds=61)
        world.deliver()
        world.deliver()
    assert [one.payload["type"] for one in receiver.requests] == [
        "alert.firing", "alert.firing", "alert.resolved",
    ]  # fmt: skip


def test_a_slow_receiver_delays_only_itself(world: World) -> None:
    release = threading.Event()

    def stall(handler: Any, number: int) -> None:
        release.wait(10)
        reply(handler, 200)

    with Receiver(stall) as slow, Receiver() as fast:
        channels = (world.channel(slow.url, "slow"), world.channel(fast.url, "fast"))
        world.rule("count(logs)", ">", 0, channels=channels)
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        world.deliveries.run_once()
        assert fast.arrived.wait(2)
        assert slow.arrived.wait(2)
        release.set()
        world.deliver()


def test_a_claim_that_died_with_its_process_is_sent_by_another(world: World) -> None:
    from kibitz_collector.store.writes import deliveries

    with Receiver() as receiver:
        world.rule("count(logs)", ">", 0, channels=(world.channel(receiver.url),))
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        with world.store.write() as session:
            (dead,) = deliveries.claim(session, world.clock(), lease_ns=60 * 10**9, limit=5)
        world.deliver()
        assert receiver.requests == []
        world.clock.go(61)
        world.deliver()
        assert [one.headers["webhook-id"] for one in receiver.requests] == [dead.id]
        with world.store.write() as session:
            assert not deliveries.finish(session, dead, world.clock())


def test_a_crossing_reaches_the_receiver_within_two_seconds(world: World) -> None:
    alerts = AlertWorker(world.store, world.settings)
    senders = DeliveryWorker(world.store, world.settings)
    loops = [
        Loop("alerts", alerts.run_once, poll_s=1, wake=alerts.wake),
        Loop("deliveries", senders.run_once, poll_s=1, wake=senders.wake),
    ]
    with Receiver() as receiver:
        world.rule("error_rate(logs)", ">", 0.5, channels=(world.channel(receiver.url),))
        for loop in loops:
            loop.start()
        try:
            crossed = time.monotonic()
            world.store.ingest(WORKSPACE, [call(status="error")])
            assert receiver.arrived.wait(10)
            took_s = time.monotonic() - crossed
        finally:
            for loop in loops:
                loop.request_stop()
            for loop in loops:
                loop.join(10)
    assert took_s <= 2


def test_a_broken_rule_does_not_stop_the_others(world: World) -> None:
    broken = world.rule("count(logs)", ">", 0)
    with world.store.write() as session:
        from sqlalchemy import text

        session.execute(
            text("UPDATE alert_rule SET metric = 'nonsense' WHERE id = :id"), {"id": broken.id}
        )
    world.rule("count(logs)", ">", 0)
    world.store.ingest(WORKSPACE, [call()])
    world.look()
    assert len(world.firings()) == 1


def test_secrets_are_sealed_at_rest(world: World) -> None:
    channel_id = world.channel("http://127.0.0.1:9/hook?token=sesame")
    with world.store.read() as session:
        channel = alert_queries.get_channel(session, WORKSPACE, channel_id)
    assert "sesame" not in f"{channel.config}{channel.secrets}"
    assert SECRET not in f"{channel.config}{channel.secrets}"
    opened = Sealer("s" * 40).unseal(channel.secrets or "")
    assert json.loads(opened)["secret"] == SECRET


def test_with_keys_a_webhook_to_loopback_is_refused_even_if_made_before(world: World) -> None:
    from kibitz_collector.store.writes import keys

    with Receiver() as receiver:
        channel = world.channel(receiver.url)
        world.rule("count(logs)", ">", 0, channels=(channel,))
        with world.store.write() as session:
            keys.create_key(session, 1, name="k", role="full", key_hash="0" * 64, hint="h")
        world.store.ingest(WORKSPACE, [call()])
        world.look()
        world.deliver()
        assert receiver.requests == []
        with pytest.raises(Invalid, match="loopback"):
            world.channel(receiver.url, "again")
    (delivery,) = world.told(world.firings()[0])
    assert "loopback" in (delivery.last_error or "")


def test_everything_survives_closing_and_opening_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kibitz.db'}"
    settings, clock = Settings(database_url=url), Clock()
    with Receiver() as receiver:
        store = open_store(url)
        world = World(store, settings, clock)
        world.rule("count(logs)", ">", 1, channels=(world.channel(receiver.url),))
        store.ingest(WORKSPACE, [call()])
        world.look()
        store.close()

        store = open_store(url)
        world = World(store, settings, clock)
        store.ingest(WORKSPACE, [call()])
        world.look(times=2)
        store.close()

        store = open_store(url)
        world = World(store, settings, clock)
        world.look(times=2)
        world.deliver()
        assert len(world.firings()) == 1
        store.close()
    assert len(receiver.requests) == 1
