"""How workers take jobs: never two the same one, never one evaluator in front of all."""

import threading

import pytest

from kibitz_collector.store import Store
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.writes import claims
from kibitz_collector.store.writes import evaluation as writes
from kibitz_collector.store.writes.claims import Claim, Lane, Outcome
from tests.collector.evaluate.samples import WORKSPACE, log_record, register

NOW_NS = 4_000_000_000_000_000_000
LEASE_NS = 60_000_000_000
GOOD = Outcome(judged=1, errors=0, strikes=[None])
STRIKE = Outcome(judged=1, errors=1, strikes=["Timeout: not finished after 2 s"])


def take(store: Store, now_ns: int = NOW_NS, *, limit: int = 100, lane: Lane = "all") -> Claim:
    claim = try_take(store, now_ns, limit=limit, lane=lane)
    assert claim is not None
    return claim


def try_take(
    store: Store, now_ns: int = NOW_NS, *, limit: int = 100, lane: Lane = "all"
) -> Claim | None:
    with store.read() as session:
        is_waiting = claims.is_work_waiting(session, now_ns, lane=lane)
    with store.write() as session:
        claim = claims.claim(session, now_ns=now_ns, lease_ns=LEASE_NS, limit=limit, lane=lane)
    assert is_waiting or claim is None
    return claim


def finish(store: Store, claim: Claim, outcome: Outcome, done: int | None = None) -> str | None:
    ids = [job.id for job in claim.jobs][:done]
    with store.write() as session:
        return claims.finish(session, claim, ids, outcome)


def logs_of(claim: Claim) -> list[str]:
    return [job.log_id for job in claim.jobs]


@pytest.fixture
def three_logs(store: Store) -> Store:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(3)])
    return store


def test_batch_is_bounded_and_in_order_of_arrival(three_logs: Store) -> None:
    claim = take(three_logs, limit=2)
    assert logs_of(claim) == ["log_0", "log_1"]
    finish(three_logs, claim, GOOD)
    assert logs_of(take(three_logs)) == ["log_2"]


def test_claimed_job_is_not_offered_again_until_its_lease_ends(three_logs: Store) -> None:
    claim = take(three_logs)
    assert try_take(three_logs) is None
    with three_logs.write() as session:
        kept = claims.heartbeat(
            session, claim.token, now_ns=NOW_NS + LEASE_NS // 2, lease_ns=LEASE_NS
        )
    assert kept == 3
    assert try_take(three_logs, NOW_NS + LEASE_NS + 1) is None
    again = take(three_logs, NOW_NS + 2 * LEASE_NS)
    assert len(again.jobs) == 1  # a job whose worker died is run alone
    with three_logs.write() as session:
        assert claims.heartbeat(session, claim.token, now_ns=NOW_NS, lease_ns=LEASE_NS) == 0


def test_worker_that_lost_its_claim_cannot_finish_it(three_logs: Store) -> None:
    lost = take(three_logs)
    again = take(three_logs, NOW_NS + 2 * LEASE_NS)
    finish(three_logs, lost, GOOD)
    with three_logs.read() as session:
        counts = queries.count_jobs(session, WORKSPACE, NOW_NS)
    assert (counts.running, counts.waiting) == (1, 2)
    finish(three_logs, again, GOOD)


def test_what_a_batch_did_not_reach_is_free_at_once(three_logs: Store) -> None:
    finish(three_logs, take(three_logs), GOOD, done=1)
    claim = take(three_logs)
    assert logs_of(claim) == ["log_1", "log_2"]  # together: it was no failed attempt


def test_put_off_job_comes_later_each_time_alone_and_dies_in_the_end(three_logs: Store) -> None:
    now_ns = NOW_NS
    claim = take(three_logs, now_ns)
    with three_logs.write() as session:
        claims.put_off(session, claim, now_ns=now_ns, error="OSError: no")
    assert try_take(three_logs, now_ns) is None
    tries = 0
    while (later := try_take(three_logs, now_ns := now_ns + 30_000_000_000)) is not None:
        assert len(later.jobs) == 1
        tries += 1
        with three_logs.write() as session:
            claims.put_off(session, later, now_ns=now_ns, error="OSError: no")
    assert tries == 3 * (claims.MAX_ATTEMPTS - 1)
    with three_logs.read() as session:
        assert queries.count_jobs(session, WORKSPACE, now_ns).dead == 3


def test_evaluators_take_turns(store: Store) -> None:
    for name in ("a", "b", "c"):
        register(store, f"checks/{name}", code=f"def {name}(log): return True", on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(3)])
    order = []
    for now_ns in range(NOW_NS, NOW_NS + 9):
        claim = take(store, now_ns, limit=1)
        order.append(claim.version_id)
        finish(store, claim, GOOD)
    assert len(set(order[:3])) == 3
    assert order == order[:3] * 3


def test_unproven_evaluator_occupies_one_worker_only(store: Store) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(4)])
    first = take(store, limit=1)
    assert try_take(store, limit=1) is None
    finish(store, first, GOOD)
    assert take(store, limit=1)
    assert take(store, limit=1)  # proven: several workers may serve it


def test_lanes_keep_proven_evaluators_apart(store: Store) -> None:
    _, good = register(store, on="support/reply")
    _, bad = register(store, "checks/bad", code="def bad(log): ...", on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_0"), log_record("log_1")])
    assert try_take(store, lane="proven") is None
    seen = []
    for now_ns in (NOW_NS, NOW_NS + 1):
        claim = take(store, now_ns, limit=1, lane="unproven")
        seen.append(claim.version_id)
        finish(store, claim, GOOD if claim.version_id == good else STRIKE)
    assert sorted(seen) == sorted([good, bad])
    assert take(store, lane="proven").version_id == good
    assert take(store, lane="unproven").version_id == bad


def test_three_strikes_in_a_row_suspend_and_say_why(store: Store) -> None:
    _, version_id = register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(9)])
    reasons = []
    for outcome in (STRIKE, STRIKE, GOOD, STRIKE, STRIKE, STRIKE):
        reasons.append(finish(store, take(store, limit=1), outcome))
    reason = "3 times in a row: Timeout: not finished after 2 s"
    assert reasons == [None] * 5 + [reason]
    assert try_take(store) is None
    with store.read() as session:
        (monitor,) = queries.list_monitors(session, WORKSPACE)
        counts = queries.count_jobs(session, WORKSPACE, NOW_NS)
    assert (monitor.state, monitor.evaluator.reason, monitor.waiting) == ("suspended", reason, 3)
    assert (counts.suspended, counts.waiting) == (3, 0)
    # While it is suspended nothing piles up for it.
    store.ingest(WORKSPACE, [log_record("log_new")])
    with store.write() as session:
        writes.resume_evaluator(session, WORKSPACE, version_id)
    claim = take(store)
    assert logs_of(claim) == ["log_6", "log_7", "log_8"]
    finish(store, claim, GOOD)
    store.ingest(WORKSPACE, [log_record("log_newer")])
    assert logs_of(take(store)) == ["log_newer"]


def test_workers_never_share_a_job(store: Store) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_first")])
    finish(store, take(store), GOOD)  # proven now
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(60)])
    taken: list[str] = []

    def work() -> None:
        while (claim := try_take_any(store)) is not None:
            taken.extend(logs_of(claim))
            finish(store, claim, GOOD)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while (claim := try_take_any(store)) is not None:  # locked rows were skipped, not lost
        taken.extend(logs_of(claim))
        finish(store, claim, GOOD)
    assert sorted(taken) == sorted(f"log_{n}" for n in range(60))


def try_take_any(store: Store) -> Claim | None:
    with store.write() as session:
        return claims.claim(session, now_ns=NOW_NS, lease_ns=LEASE_NS, limit=3)


def test_old_finished_jobs_are_deleted(three_logs: Store) -> None:
    finish(three_logs, take(three_logs, limit=2), GOOD)
    with three_logs.write() as session:
        assert claims.prune_done(session, 0) == 0
        assert claims.prune_done(session, NOW_NS) == 2
    assert logs_of(take(three_logs)) == ["log_2"]
