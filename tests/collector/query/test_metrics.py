"""The metric grammar: what is read, what is refused and where."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.errors import BadQuery
from kibitz_collector.query.ast import EVERYTHING, Comparison
from kibitz_collector.query.metrics import (
    ALLOWED,
    Metric,
    metric_text,
    parse_metric,
)


def test_a_metric_with_every_clause_is_read_whole():
    text = 'pass_rate(judgment "support/is_polite") where file:"support/answer" by model over 10m'
    metric = parse_metric(text)
    assert metric == Metric(
        aggregation="pass_rate",
        measure="judgment",
        evaluator="support/is_polite",
        where='file:"support/answer"',
        group_by=("model",),
        window_s=600,
    )
    assert metric.filter == Comparison("file", "=", "support/answer")
    assert metric_text(metric) == text


def test_clauses_may_be_left_out():
    assert parse_metric("count(logs)") == Metric(aggregation="count", measure="logs")
    assert parse_metric(" P95( Latency )BY user,  model ").group_by == ("user", "model")
    assert parse_metric("count(logs)").filter == EVERYTHING


def test_labels_are_read_and_written():
    metric = parse_metric(r'rate(judgment "a \"b\"" = "very bad") over 1h')
    assert (metric.evaluator, metric.label, metric.window_s) == ('a "b"', "very bad", 3600)
    assert parse_metric(metric_text(metric)) == metric


def test_words_of_the_grammar_inside_quotes_and_parentheses_belong_to_the_filter():
    metric = parse_metric(
        'count(logs) where "refund by mail over 10m" (over OR by) by user over 5m'
    )
    assert metric.where == '"refund by mail over 10m" (over OR by)'
    assert (metric.group_by, metric.window_s) == (("user",), 300)


def test_a_filter_with_an_ambiguous_word_survives_writing():
    metric = Metric(aggregation="count", where="carried over", window_s=60)
    text = metric_text(metric)
    assert text == "count(logs) where (carried over) over 1m"
    assert metric_text(parse_metric(text)) == text


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "aggregation"),
        ("cuont(logs)", 0, "did you mean count?"),
        ("count(log)", 6, "did you mean logs?"),
        ("count()", 6, "of what?"),
        ("mean(logs)", 0, "count, error_rate"),
        ("pass_rate(latency)", 0, "means nothing"),
        ("pass_rate(judgment)", 18, "name the evaluator"),
        ('pass_rate(judgment "x" = "y")', 0, "takes no label"),
        ('rate(judgment "x")', 0, "rate needs a label"),
        ('rate(judgment "x" = y)', 17, "in quotes"),
        ("count(logs", 10, "a ) is missing"),
        ("count(logs) over", 12, "over how long"),
        ("count(logs) over soon", 17, "is no window"),
        ("count(logs) over 40d", 17, "between 1s and 31d"),
        ("count(logs) by colour over 5m", 14, "to search for the word"),
        ("count(logs) by user, user", 20, "twice"),
        ("count(logs) by evaluator", 11, "only judgments"),
        ("count(logs) kind:prompt", 12, "where FILTER"),
        ("count(logs) where kind:prompt (", 30, "("),
        ("count(logs) where kibd:prompt", 18, "kibd"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, position, says):
    with pytest.raises(BadQuery) as caught:
        parse_metric(text)
    assert says in caught.value.message
    assert caught.value.position == position


_MEASURES = [(measure, one) for measure, many in ALLOWED.items() for one in many]
_FIELDS = ["file", "version", "environment", "model", "provider", "session", "user", "kind"]
_NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    str.strip
)


@st.composite
def metrics(draw):
    measure, aggregation = draw(st.sampled_from(_MEASURES))
    fields = _FIELDS + (["evaluator"] if measure == "judgment" else [])
    where = draw(
        st.sampled_from(
            [
                "",
                "kind:prompt",
                "-status:error cost>0.01",
                '"by the way"',
                "over by where",
                "(a OR b)",
            ]
        )
    )
    return Metric(
        aggregation=aggregation,
        measure=measure,
        evaluator=draw(_NAMES) if measure == "judgment" else None,
        label=draw(_NAMES) if aggregation == "rate" else None,
        where=where,
        group_by=tuple(draw(st.lists(st.sampled_from(fields), unique=True, max_size=3))),
        window_s=draw(st.integers(1, 31 * 86_400)),
    )


@given(metrics())
def test_what_is_written_is_read_as_the_same(metric):
    text = metric_text(metric)
    read = parse_metric(text)
    assert metric_text(read) == text
    bare = read.where.removeprefix("(").removesuffix(")") if "over by" in text else read.where
    assert (read.aggregation, read.measure, read.evaluator, read.label, bare) == (
        metric.aggregation, metric.measure, metric.evaluator, metric.label, metric.where,
    )  # fmt: skip
    assert (read.group_by, read.window_s) == (metric.group_by, metric.window_s)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    with suppress(BadQuery):
        parse_metric(text)
