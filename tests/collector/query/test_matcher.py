import pytest
from hypothesis import given, settings

from kibitz_collector.errors import BadQuery
from kibitz_collector.query import compile_match, match, parse
from kibitz_collector.query.ast import Comparison, Not
from kibitz_collector.query.globs import glob_match
from kibitz_collector.records import FileReference, LogBody, LogRecord, Tokens
from tests.collector.query.generated import nodes, records

LOG = LogRecord(
    id="log_1",
    kind="prompt",
    name="chat",
    start_ns=10**18,
    end_ns=10**18 + 2_500_000_000,
    file=FileReference(kind="prompt", path="support/reply"),
    model="gpt-4o-mini",
    status="error",
    tokens=Tokens(input_uncached=900, cache_read=200, output=None),
    cost_usd=0.0,
    flags=["id_collision"],
    body=LogBody(inputs={"q": "my refund"}, metadata={"plan": "pro", "n": 5, "vip": True}),
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind:prompt",
        "model:gpt-4o*",
        "file:support/*",
        "latency>2s",
        "latency<=2500ms",
        "tokens>1000",
        "tokens.input:1100",
        "-has:session",
        "has:error",
        "has:cost",
        "cost:0",
        "flag:id_collision",
        "metadata.plan:pro",
        "metadata.n:5",
        "metadata.n:5.0",
        "metadata.n>4",
        "metadata.vip:true",
        "has:metadata.n",
        "refund",
        "-user:u1",
        "NOT user!=u1",
        "-judgment.x:true",
        "user:u OR name~ha",
        "started<2030-01-01",
    ],
)
def test_a_log_matches(text):
    assert match(parse(text), LOG)


@pytest.mark.parametrize(
    "text",
    [
        "kind:tool",
        "model:gpt-4o",
        "tokens.output>=0",
        "user!=u1",
        "user:u1",
        "judgment.x:true",
        "received<-0s",
        "metadata.plan>3",
        "metadata.nope!=x",
        "ttft>0",
        "-refund",
        '"refund my"',
        "flag!=id_collision",
    ],
)
def test_a_log_does_not_match(text):
    assert not match(parse(text), LOG)


def test_a_comparison_that_means_nothing_is_refused():
    for node in (
        Comparison("nope", "=", "x"),
        Comparison("cost", "like", "1*"),
        Comparison("cost", "=", "x"),
        Comparison("user", "=", "x", "key"),
        Not(Comparison("metadata", "=", "x")),
    ):
        with pytest.raises(BadQuery):
            compile_match(node)


@given(nodes(), records())
@settings(max_examples=300, deadline=None)
def test_a_log_matches_either_a_filter_or_its_contrary(node, record):
    assert match(node, record) is not match(Not(node), record)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("a*c", "ac", True),
        ("ab*bc", "abc", False),
        ("*b*", "abc", True),
        ("a*b*c", "a1b2c", True),
        ("a?", "ab", False),
        ("abc", "abc", True),
        ("*a" * 8, "a" * 7, False),
    ],
)
def test_stars_match_any_characters(pattern, text, expected):
    assert glob_match(pattern, text) is expected
