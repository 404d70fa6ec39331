"""Filters in SQL: the same Logs as matching in memory, on both databases, whatever is asked."""

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kibitz_collector.errors import BadQuery
from kibitz_collector.query import FIELDS, Node, match, parse
from kibitz_collector.query.ast import And, Comparison, Not, Or
from kibitz_collector.records import FileReference, Judgment, LogRecord
from kibitz_collector.store import Store
from kibitz_collector.store.filters import LOG, compile_filter
from kibitz_collector.store.search import index_all
from tests.collector.query.generated import NAMES, nodes, records
from tests.collector.query.test_parser import fuzzed
from tests.collector.store.facts import log

WORKSPACE = 1
# What the record does not know yet: judgments, our clock, the Version made on demand.
KNOWN = [
    name
    for name, field in FIELDS.items()
    if field.type not in ("has", "judgment") and name not in ("received", "version")
]
HERE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def found(store: Store, node: Node, *, narrow: bool = True) -> set[str]:
    workspace_id = WORKSPACE if narrow else None
    condition = compile_filter(node, 0, workspace_id=workspace_id)
    with store.read() as session:
        statement = select(LOG.c.id).where(LOG.c.workspace_id == WORKSPACE, condition)
        return set(session.connection().execute(statement).scalars())


def keep(store: Store, logs: Sequence[LogRecord]) -> None:
    store.ingest(WORKSPACE, logs)
    index_all(store)


_numbers = iter(range(10**9))


@HERE
@given(data=st.data())
def test_sql_finds_what_matches_in_memory(store: Store, data: st.DataObject) -> None:
    logs = [data.draw(records(next(_numbers))) for _ in range(3)]
    keep(store, logs)
    ids = {one.id for one in logs}
    for _ in range(6):
        node = data.draw(nodes(KNOWN))
        expected = {one.id for one in logs if match(node, one)}
        assert found(store, node) & ids == expected
        assert found(store, Not(node), narrow=False) & ids == ids - expected


def test_fuzzed_filters_are_refused_or_answered(store: Store) -> None:
    logs = [log(f"log_{n}", name=name, user=name) for n, name in enumerate(NAMES)]
    keep(store, logs)
    asked = 0
    for text in fuzzed(5000):
        try:
            node = parse(text)
        except BadQuery:
            continue
        asked += 1
        if not _speaks_of(node, {"received", "version", "judgment"}):
            assert found(store, node) == {one.id for one in logs if match(node, one)}
        else:
            found(store, node)
    assert asked > 500


def _speaks_of(node: Node, names: set[str]) -> bool:
    match node:
        case And(parts) | Or(parts):
            return any(_speaks_of(part, names) for part in parts)
        case Not(part):
            return _speaks_of(part, names)
        case Comparison(field=name):
            return name in names
        case _:
            return False


def test_sql_in_a_value_is_only_a_value(store: Store) -> None:
    values = [
        "' OR 1=1 --",
        '"; DROP TABLE log; --',
        "%",
        "_",
        "\\",
        "a) OR (1=1",
        "%s",
        ":x",
        "{}",
    ]
    keep(store, [log(f"log_{n}", user=value) for n, value in enumerate(values)])
    for number, value in enumerate(values):
        assert found(store, Comparison("user", "=", value)) == {f"log_{number}"}
        assert found(store, Comparison("user", "contains", value)) >= {f"log_{number}"}
    assert len(found(store, And(()))) == len(values)


def judgment(nth: int, judged: str, path: str, **value: object) -> LogRecord:
    return log(
        f"log_judge_{nth}",
        kind="evaluator",
        parent_id=judged,
        trace_id=None,
        file=FileReference(kind="evaluator", path=path, content={"code": path}),
        judgment=Judgment(judged_log_id=judged, **value),  # type: ignore[arg-type]
    )


def test_judgments_are_compared_by_the_type_of_the_value(store: Store) -> None:
    keep(store, [log("log_a"), log("log_b"), log("log_c")])
    keep(
        store,
        [
            judgment(1, "log_a", "polite", return_type="boolean", number=1.0),
            judgment(2, "log_b", "polite", return_type="boolean", number=0.0),
            judgment(3, "log_a", "score", return_type="number", number=0.75),
            judgment(4, "log_b", "tone", return_type="multi_select", labels=['so "so"', "warm"]),
            judgment(5, "log_c", "tone", return_type="text", text="cold"),
            judgment(6, "log_c", "polite", return_type="boolean", is_error=True),
        ],
    )
    expected = {
        "judgment.polite:true": {"log_a"},
        "judgment.polite:false": {"log_b"},
        "judgment.polite!=true": {"log_b"},
        "judgment.score>0.5": {"log_a"},
        "judgment.score:0.75": {"log_a"},
        "judgment.score:1": set(),
        "judgment.polite:1": set(),
        "judgment.tone:warm": {"log_b"},
        r'judgment.tone:"so \"so\""': {"log_b"},
        "judgment.tone:so": set(),
        "judgment.tone:cold": {"log_c"},
        "judgment.tone!=warm": {"log_c"},
        "judgment.tone:co*": {"log_c"},
        "judgment.tone~ar": set(),
        "has:judgment.tone": {"log_b", "log_c"},
        "has:judgment": {"log_a", "log_b", "log_c"},
        "-has:judgment.polite kind:prompt": set(),
        "-judgment.polite:true kind:prompt": {"log_b", "log_c"},
    }
    for text, ids in expected.items():
        assert found(store, parse(text)) == ids, text
        assert found(store, parse(text), narrow=False) == ids, text


def test_relative_times_count_from_now(store: Store) -> None:
    keep(store, [log("log_a", start_ns=10**18, end_ns=10**18)])
    hour_ns = 3600 * 10**9
    with store.read() as session:
        for now_ns, expected in ((10**18 + hour_ns // 2, 1), (10**18 + 2 * hour_ns, 0)):
            statement = select(LOG.c.id).where(compile_filter(parse("started>-1h"), now_ns))
            assert len(session.connection().execute(statement).all()) == expected


def test_the_longest_and_deepest_filters_are_answered(store: Store) -> None:
    keep(store, [log("log_a", user="u")])
    wide = " OR ".join(["metadata.x:1", "user:u", "judgment.a:true", "refund"] * 50)
    assert found(store, parse(wide)) == {"log_a"}
    deep = "(-" * 19 + "(user:u OR b)" + ")" * 19
    assert found(store, parse(deep)) == set()
    rng = random.Random(1)
    stars = "user:" + "*".join(rng.choice("ab") for _ in range(8)) + "*"
    assert found(store, parse(stars)) == set()
