import contextlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kibitz_collector.errors import BadQuery
from kibitz_collector.query import parse, simplify, unparse
from kibitz_collector.query.ast import EVERYTHING, And, Comparison, Not, Or, Text
from kibitz_collector.query.fields import FIELDS
from tests.collector.query.generated import nodes

DAY_NS = 86_400 * 10**9
NOV_1_NS = 1_793_491_200 * 10**9


def test_empty_text_is_everything():
    assert parse("") == EVERYTHING
    assert parse("  \n ") == EVERYTHING


def test_conditions_side_by_side_all_hold_and_or_binds_weaker():
    assert parse("kind:prompt a OR -b") == Or(
        (And((Comparison("kind", "=", "prompt"), Text("a"))), Not(Text("b")))
    )
    assert parse("a AND (b OR c)") == And((Text("a"), Or((Text("b"), Text("c")))))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("model:gpt-4o*", Comparison("model", "like", "gpt-4o*")),
        ('file:"support/*"', Comparison("file", "like", "support/*")),
        (r"name:a\*b", Comparison("name", "=", "a*b")),
        ("name~a*b", Comparison("name", "contains", "a*b")),
        ("cost > 0.01", Comparison("cost", ">", 0.01)),
        ("latency>2s", Comparison("latency", ">", 2000.0)),
        ("latency<=1.5m", Comparison("latency", "<=", 90_000.0)),
        ("ttft:250", Comparison("ttft", "=", 250.0)),
        ("tokens.input>=1000", Comparison("tokens.input", ">=", 1000.0)),
        ("status:ERROR", Comparison("status", "=", "error")),
        ("user!=u1", Comparison("user", "!=", "u1")),
        ("metadata.plan:pro", Comparison("metadata", "=", "pro", "plan")),
        ("metadata.n>3", Comparison("metadata", ">", 3.0, "n")),
        ("metadata.n:3", Comparison("metadata", "=", "3", "n")),
        ('metadata."odd key":x', Comparison("metadata", "=", "x", "odd key")),
        (
            "judgment.support/is_polite:false",
            Comparison("judgment", "=", False, "support/is_polite"),
        ),
        ("judgment.score>=0.5", Comparison("judgment", ">=", 0.5, "score")),
        ("judgment.rating:bad", Comparison("judgment", "=", "bad", "rating")),
        ('judgment.rating:"true"', Comparison("judgment", "=", "true", "rating")),
        ("has:error", Comparison("error", "exists", None)),
        ("has:judgment", Comparison("judgment", "exists", None)),
        ("has:judgment.support/x", Comparison("judgment", "exists", None, "support/x")),
        ("has:metadata.plan", Comparison("metadata", "exists", None, "plan")),
        ("started>2026-11-01", Comparison("started", ">", NOV_1_NS)),
        ("started>2026-11-01T01:00+01:00", Comparison("started", ">", NOV_1_NS)),
        ("received>=-1h", Comparison("received", ">=", "-1h")),
        ('"exact phrase"', Text("exact phrase", "phrase")),
        ("prefi*", Text("prefi", "prefix")),
        ('"exact phra"*', Text("exact phra", "prefix")),
        ("NOT NOT refund", Text("refund")),
        ("()", EVERYTHING),
        ("12:30", Text("12:30")),
    ],
)
def test_text_becomes_the_tree_it_means(text, node):
    assert parse(text) == node
    assert parse(unparse(node)) == node


def test_a_date_is_the_whole_day():
    assert parse("started:2026-11-01") == And(
        (Comparison("started", ">=", NOV_1_NS), Comparison("started", "<", NOV_1_NS + DAY_NS))
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle:x", "did you mean model?"),
        ("http://example.org", "quotes"),
        ("kind:prmpt", "one of prompt, tool"),
        ("cost>cheap", "a number like"),
        ("latency>fast", "a duration like"),
        ("started>yesterday", "a time like"),
        ("started>2026-13-01", "a time like"),
        ("cost>1e999", "a number like"),
        ("metadata:pro", "needs a key"),
        ("metadata.n>x", "a number"),
        ("model:", "a value must follow"),
        ("model<3", "cannot be compared"),
        ("flag:a*", "flag"),
        ('"open', "never closed"),
        ("(a", "never closed"),
        ("a)", "no ( for this )"),
        ("a OR", "both sides"),
        ("OR a", "both sides"),
        ("a AND", "both sides"),
        ("NOT", "must follow"),
        ("- ", "must follow"),
        ("!!!", "no letter or digit"),
        ("re*fund", "may only end a word"),
        ("user:" + "a*" * 9, "wildcards"),
        ("user!=a*", "write -user:"),
        ("has:nothing", "unknown field"),
        ("has>3", "write has:error"),
        ("a\x00b", "no Log holds"),
        ("a\ud800b", "no Log holds"),
        ("x" * 9000, "too many"),
        ("a " * 300, "more than 200"),
        ("-" * 100 + "a", "nested more than"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_do(text, says):
    with pytest.raises(BadQuery, match=r"at character \d+") as caught:
        parse(text)
    assert says in caught.value.message
    assert caught.value.position is not None
    assert 0 <= caught.value.position <= len(text)


@pytest.mark.parametrize("depth", [41, 4_000, 10_000])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_parentheses_are_refused_not_followed(depth, closed):
    with pytest.raises(BadQuery):
        parse("(" * depth + "a" + ")" * depth * closed)


@given(nodes())
@settings(max_examples=500, deadline=None)
def test_a_written_tree_is_read_as_the_same(node):
    assert parse(unparse(node)) == simplify(node)


PIECES = [
    "(",
    ")",
    "-",
    "NOT ",
    " OR ",
    " AND ",
    '"',
    "'",
    ";",
    "--",
    "/*",
    "%",
    "_",
    "\\",
    "*",
    ":",
    "<",
    ">=",
    "!=",
    "~",
    " ",
    "\n",
    "1=1",
    "DROP TABLE log",
    "UNION SELECT",
    "metadata.",
    "judgment.",
    "has:",
    "é",
    "\x00",
    "\ud800",
    "東京",
    "1e309",
    "-1h",
    "2026-11-01",
    *FIELDS,
]


def fuzzed(count: int) -> list[str]:
    choose = random.Random(7)
    return ["".join(choose.choices(PIECES, k=choose.randint(1, 40))) for _ in range(count)]


def test_five_thousand_fuzzed_filters_parse_or_are_refused_within_5_ms():
    took_s = []
    for text in fuzzed(5000):
        before_s = time.perf_counter()
        try:
            node = parse(text)
        except BadQuery:
            node = None
        took_s.append(time.perf_counter() - before_s)
        if node is not None:
            assert parse(unparse(node)) == node
    assert sorted(took_s)[int(len(took_s) * 0.99)] < 0.005


@given(st.text(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(BadQuery):
        assert parse(unparse(parse(text))) == parse(text)
