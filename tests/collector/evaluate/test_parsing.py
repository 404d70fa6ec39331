"""Verdicts at the end of what judges say."""

from typing import Any

import pytest

from kibitz_collector.evaluate.parsing import Unparsable, parse_verdict
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec, read_evaluator

OPTIONS = [{"name": "Very good", "valence": "positive"}, "bad", "so, so"]


def spec(return_type: str, **more: Any) -> EvaluatorSpec:
    return read_evaluator({"evaluator_type": "llm", "return_type": return_type, **more})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is kind and to the point.\n\nTrue", True),
        ("false", False),
        ("It does not say please.\nNo.", False),
        ("Polite.\n\n**Yes**\n\n", True),
        ("Verdict: true", True),
        ("My final verdict is: `False`.", False),
        ("The answer is **true**", True),
        ('```json\n{"rationale": "kind", "judgment": true}\n```', True),
        ('Kind.\n{"verdict": "no"}', False),
        ("Kind.\n```\ntrue\n```", True),
        ("I cannot tell.\nN/A", None),
        ("Answer: null", None),
        ('{"judgment": null}', None),
    ],
)
def test_boolean_is_the_last_word(text: str, value: Any) -> None:
    assert parse_verdict(text, spec("boolean")) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Fine.\n4", 4),
        ("Score: 4.5", 4.5),
        ("**-1.5e1**", -15),
        ("Fine.\n4/5", 4),
        ("4 out of 5", 4),
        ("Rating: 3.", 3),
        ('{"score": 2.5, "why": "x"}', 2.5),
        ("none", None),
    ],
)
def test_number_is_read_plain_or_out_of_the_greatest(text: str, value: Any) -> None:
    assert parse_verdict(text, spec("number", number_limits={"max": 5})) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x\nVery good", "Very good"),
        ("x\nvery GOOD.", "Very good"),
        ('Label: "bad"', "bad"),
        ("so, so", "so, so"),
        ('{"label": "bad"}', "bad"),
    ],
)
def test_select_finds_its_option(text: str, value: str) -> None:
    assert parse_verdict(text, spec("select", options=OPTIONS)) == value


def test_option_called_none_is_no_abstention() -> None:
    assert parse_verdict("x\nnone", spec("select", options=["some", "none"])) == "none"
    assert parse_verdict("x\nnone", spec("select", options=["some"])) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x\nbad, very good", ["bad", "Very good"]),
        ("x\nbad; so, so", None),
        ("x\nso, so", ["so, so"]),
        ('x\n["bad", "so, so"]', ["bad", "so, so"]),
        ("x\n[]", []),
        ("x\nnone", []),
        ('{"judgment": ["bad"]}', ["bad"]),
    ],
)
def test_multi_select_is_a_list(text: str, value: Any) -> None:
    wanted = spec("multi_select", options=OPTIONS)
    if value is None:
        with pytest.raises(Unparsable, match="a list out of"):
            parse_verdict(text, wanted)
    else:
        assert parse_verdict(text, wanted) == value


def test_text_is_the_last_line() -> None:
    assert parse_verdict("It says too much.\nOpen at nine.", spec("text")) == "Open at nine."


@pytest.mark.parametrize(
    ("return_type", "text", "words"),
    [
        ("boolean", "It is polite, I believe", "is not true or false: 'It is polite, I believe'"),
        ("boolean", "true or false", "is not true or false"),
        ("boolean", '{"judgment": 3}', "is not true or false"),
        ("number", "four", "is not a number: 'four'"),
        ("number", "4/7", "is not a number"),
        ("number", "it costs 4", "is not a number"),
        ("select", "good", "is not one of Very good, bad, so, so: 'good'"),
        ("multi_select", "bad, worse", "is not a list out of"),
        ("boolean", "x" * 500, "…'; its whole text is the output"),
    ],
)
def test_text_without_a_verdict_is_refused_with_what_was_wanted(
    return_type: str, text: str, words: str
) -> None:
    more = {"options": OPTIONS} if "select" in return_type else {}
    more |= {"number_limits": {"max": 5}} if return_type == "number" else {}
    with pytest.raises(Unparsable) as refused:
        parse_verdict(text, spec(return_type, **more))
    assert words in str(refused.value)
