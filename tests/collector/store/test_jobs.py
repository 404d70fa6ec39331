"""Which arriving Logs become jobs, in both databases."""

from typing import get_args

import pytest

from kibitz_collector.errors import BadQuery, Invalid, NotFound
from kibitz_collector.query import compile_match, parse
from kibitz_collector.records import Judgment, Kind, LogBody, LogError, LogRecord, Status
from kibitz_collector.store import Store
from kibitz_collector.store.matching import CompiledMonitor
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.writes import claims
from kibitz_collector.store.writes import evaluation as writes
from kibitz_collector.store.writes.claims import Claim, Outcome
from tests.collector.evaluate.samples import GOOD, WORKSPACE, log_record, register

LATER_NS = 4_000_000_000_000_000_000  # after every due time
LEASE_NS = 60_000_000_000


def take(store: Store, now_ns: int = LATER_NS, **options: int) -> Claim | None:
    with store.write() as session:
        return claims.claim(session, now_ns=now_ns, lease_ns=LEASE_NS, **options)


def waiting(store: Store) -> list[tuple[str, str]]:
    """Take everything that waits: (Log, evaluator path), in order."""
    found = []
    while (claim := take(store)) is not None:
        with store.write() as session:
            view = queries.get_evaluator(session, WORKSPACE, claim.evaluator_id)
            claims.finish(session, claim, [job.id for job in claim.jobs], outcome(len(claim.jobs)))
        found += [(job.log_id, view.path) for job in claim.jobs]
    return found


def outcome(count: int, strike: str | None = None) -> Outcome:
    return Outcome(judged=count, errors=0, strikes=[strike] * count)


def attach(store: Store, on: str, path: str = "checks/good", **options: object) -> str:
    file_id, _ = register(store, path)
    with store.write() as session:
        file_path, filter_text = writes.read_target(session, WORKSPACE, on)
        return writes.attach_monitor(
            session,
            WORKSPACE,
            evaluator_id=file_id,
            file_path=file_path,
            filter_text=filter_text,
            **options,  # type: ignore[arg-type]  # what the test gives
        )


def test_log_of_a_monitored_file_is_judged_and_others_are_not(store: Store) -> None:
    register(store, on="support/reply")
    store.ingest(
        WORKSPACE, [log_record("log_a"), log_record("log_b", path="support/other", trace="b" * 32)]
    )
    assert waiting(store) == [("log_a", "checks/good")]


def test_log_that_a_filter_matches_is_judged(store: Store) -> None:
    attach(store, "kind:prompt metadata.plan:pro")
    pro = LogBody(output="x", metadata={"plan": "pro"})
    store.ingest(WORKSPACE, [log_record("log_a", body=pro), log_record("log_b")])
    assert waiting(store) == [("log_a", "checks/good")]


@pytest.mark.parametrize(
    ("text", "open_to"),
    [
        ("kind:prompt status:error", 1),
        ("kind:tool OR status:error", 12),
        ("(kind:tool OR model:gpt-4o) status:complete", 8),
        ("-kind:prompt", 40),
        ("kind:pro*", 40),
        ("latency>1", 40),
    ],
)
def test_a_monitor_wants_only_kinds_and_statuses_it_may_want(text: str, open_to: int) -> None:
    filter_ = parse(text)
    monitor = CompiledMonitor(
        id="mon_a",
        evaluator_id="ev_a",
        version_id="evv_a",
        file_path=None,
        matches=compile_match(filter_),
        filter=filter_,
        names_kind=True,
        scope="log",
        sample_rate=1.0,
    )
    records = [
        LogRecord(id="log_a", kind=kind, name="a", start_ns=0, end_ns=10**10, status=status)
        for kind in get_args(Kind)
        for status in get_args(Status)
    ]
    may = [one for one in records if monitor.may_want(one.kind, one.status, is_plain=False)]
    assert len(may) == open_to
    assert all(one in may for one in records if monitor.wants(one))


def test_other_workspaces_do_not_see_the_monitor(store: Store) -> None:
    register(store, on="support/reply")
    store.ingest(2, [log_record("log_a")])
    assert waiting(store) == []


def test_incomplete_log_waits_for_its_end(store: Store) -> None:
    register(store, on="support/reply")
    start = log_record("log_a", status="incomplete", end_ns=None, is_start=True)
    store.ingest(WORKSPACE, [start])
    assert waiting(store) == []
    store.ingest(WORKSPACE, [log_record("log_a")])
    assert waiting(store) == [("log_a", "checks/good")]


def test_failed_log_is_judged_too(store: Store) -> None:
    register(store, on="support/reply")
    body = LogBody(error=LogError(type="Timeout", message="late"))
    store.ingest(WORKSPACE, [log_record("log_a", status="error", error_type="Timeout", body=body)])
    assert waiting(store) == [("log_a", "checks/good")]


def test_repeated_log_is_judged_once(store: Store) -> None:
    register(store, on="support/reply")
    for _ in range(3):
        store.ingest(WORKSPACE, [log_record("log_a")])
    assert waiting(store) == [("log_a", "checks/good")]
    store.ingest(WORKSPACE, [log_record("log_a")])
    assert waiting(store) == []


def test_log_that_says_more_later_is_judged_again(store: Store) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a", body=LogBody(output="fine"))])
    assert len(waiting(store)) == 1
    store.ingest(WORKSPACE, [log_record("log_a", body=LogBody(metadata={"plan": "pro"}))])
    assert waiting(store) == [("log_a", "checks/good")]


def test_sampling_is_decided_by_the_log_id(store: Store) -> None:
    register(store, on="support/reply", sample_rate=0.3)
    logs = [log_record(f"log_{n}") for n in range(200)]
    store.ingest(WORKSPACE, logs)
    first = {log_id for log_id, _ in waiting(store)}
    assert 30 <= len(first) <= 90
    register(store, "checks/second", on="support/reply", sample_rate=0.3)
    changed = [log_record(f"log_{n}", body=LogBody(metadata={"n": n})) for n in range(200)]
    store.ingest(WORKSPACE, changed)
    found = waiting(store)
    assert {log_id for log_id, path in found if path == "checks/second"} == first


def test_job_knows_how_probable_it_was_to_be_kept(store: Store) -> None:
    register(store, on="support/reply", sample_rate=0.999999)
    store.ingest(WORKSPACE, [log_record("log_a", keep_probability=0.5)])
    claim = take(store)
    assert claim is not None
    assert claim.jobs[0].keep_probability == pytest.approx(0.4999995)


def test_trace_is_judged_once_when_its_root_is_complete(store: Store) -> None:
    attach(store, "kind:flow OR kind:prompt", scope="trace")
    store.ingest(WORKSPACE, [log_record("log_b", parent="log_a")])
    assert waiting(store) == []
    store.ingest(WORKSPACE, [log_record("log_a", kind="flow", path="support/answer")])
    assert waiting(store) == [("log_a", "checks/good")]


def test_latecomer_has_the_finished_trace_judged_again(store: Store) -> None:
    register(store, on="support/answer")
    store.ingest(WORKSPACE, [log_record("log_a", kind="flow", path="support/answer")])
    assert waiting(store) == [("log_a", "checks/good")]
    store.ingest(
        WORKSPACE, [log_record("log_b", parent="log_a"), log_record("log_c", parent="log_a")]
    )
    store.ingest(WORKSPACE, [log_record("log_d", parent="log_b")])  # one job for the crowd
    assert waiting(store) == [("log_a", "checks/good")]
    store.ingest(WORKSPACE, [log_record("log_d", parent="log_b")])  # nothing new
    assert waiting(store) == []


def judgment_of(log_id: str, judged: str, evaluator: str) -> object:
    record = log_record(log_id, kind="evaluator", path=evaluator, parent=None)
    record.parent_id, record.trace_id = judged, None
    record.judgment = Judgment(judged_log_id=judged, return_type="boolean", number=1.0)
    return record


def test_judgments_are_not_judged_by_a_monitor_on_everything(store: Store) -> None:
    attach(store, "latency>=0")
    store.ingest(WORKSPACE, [log_record("log_a")])
    store.ingest(WORKSPACE, [judgment_of("log_j", "log_a", "human/rating")])  # type: ignore[list-item]
    assert waiting(store) == [("log_a", "checks/good")]


def test_evaluator_never_judges_what_it_has_said_itself(store: Store) -> None:
    attach(store, "kind:evaluator", "checks/meta")
    store.ingest(WORKSPACE, [log_record("log_a")])
    chain = [
        judgment_of("log_j1", "log_a", "human/rating"),  # judged by checks/meta
        judgment_of("log_j2", "log_j1", "checks/meta"),  # its own: never
        judgment_of("log_j3", "log_j2", "human/rating"),  # about its own: never
    ]
    for record in chain:
        store.ingest(WORKSPACE, [record])  # type: ignore[list-item]
    assert waiting(store) == [("log_j1", "checks/meta")]


def test_judgments_of_judgments_end_somewhere(store: Store) -> None:
    attach(store, "kind:evaluator", "checks/meta")
    store.ingest(WORKSPACE, [log_record("log_0")])
    for depth in range(1, 8):
        record = judgment_of(f"log_{depth}", f"log_{depth - 1}", f"human/r{depth}")
        store.ingest(WORKSPACE, [record])  # type: ignore[list-item]
    assert [log_id for log_id, _ in waiting(store)] == ["log_1", "log_2", "log_3"]


def test_new_version_is_used_for_what_arrives_next(store: Store) -> None:
    _, old = register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    _, new = register(store, on="support/reply", code=GOOD + "# better\n")
    store.ingest(WORKSPACE, [log_record("log_b")])
    versions = {}
    while (claim := take(store)) is not None:
        versions[claim.version_id] = [job.log_id for job in claim.jobs]
        with store.write() as session:
            claims.finish(session, claim, [job.id for job in claim.jobs], outcome(1))
    assert versions == {old: ["log_a"], new: ["log_b"]}
    register(store, on="support/reply")  # back to the old source
    store.ingest(WORKSPACE, [log_record("log_c")])
    claim = take(store)
    assert claim is not None
    assert claim.version_id == old


def test_registering_again_moves_the_same_monitor(store: Store) -> None:
    register(store, on="support/reply")
    register(store, on="kind:tool", sample_rate=0.5)
    with store.read() as session:
        (monitor,) = queries.list_monitors(session, WORKSPACE)
    assert (monitor.file_path, monitor.filter, monitor.sample_rate) == (None, "kind:tool", 0.5)
    register(store)
    with store.read() as session:
        (monitor,) = queries.list_monitors(session, WORKSPACE)
    assert monitor.state == "inactive"


def test_evaluator_that_runs_in_the_app_is_not_attached(store: Store) -> None:
    file_id, _ = register(store, on="support/reply", where="app")
    with store.read() as session:
        assert queries.list_monitors(session, WORKSPACE) == []
    with store.write() as session, pytest.raises(Invalid, match="where app"):
        writes.attach_monitor(session, WORKSPACE, evaluator_id=file_id, file_path="support/reply")


def test_monitor_that_cannot_be_is_refused(store: Store) -> None:
    file_id, _ = register(store)
    with pytest.raises(BadQuery):
        register(store, "checks/other", on="latency>>1")
    with pytest.raises(Invalid, match="sample_rate 0"):
        register(store, "checks/other", on="support/reply", sample_rate=0)
    with pytest.raises(Invalid, match="return_type 'maybe'"):
        register(store, "checks/other", return_type="maybe")
    with store.write() as session, pytest.raises(NotFound):
        writes.attach_monitor(session, WORKSPACE, evaluator_id="ev_none", file_path="a")
    with store.write() as session, pytest.raises(NotFound):
        writes.attach_monitor(session, 2, evaluator_id=file_id, file_path="a")
    with store.read() as session:
        assert queries.list_monitors(session, WORKSPACE) == []
        assert [view.path for view in queries.list_evaluators(session, WORKSPACE)] == [
            "checks/good"
        ]


def test_detached_or_inactive_monitor_judges_nothing_more(store: Store) -> None:
    monitor_id = attach(store, "kind:prompt")
    store.ingest(WORKSPACE, [log_record("log_a")])
    with store.write() as session:
        writes.set_monitor_active(session, WORKSPACE, monitor_id, is_active=False)
    store.ingest(WORKSPACE, [log_record("log_b")])
    with store.write() as session:
        writes.set_monitor_active(session, WORKSPACE, monitor_id, is_active=True)
    store.ingest(WORKSPACE, [log_record("log_c")])
    with store.write() as session:
        writes.detach_monitor(session, WORKSPACE, monitor_id)
    store.ingest(WORKSPACE, [log_record("log_d")])
    assert waiting(store) == []
