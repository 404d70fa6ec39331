"""What an Evaluator's content may be."""

from typing import Any

import pytest

from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import content_hash
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec, read_evaluator

CODE = "def evaluator(log): return True"


def test_code_evaluator_is_read_with_its_defaults() -> None:
    assert read_evaluator({"code": CODE}) == EvaluatorSpec(
        evaluator_type="code", return_type="boolean", code=CODE, options=[], where="collector"
    )


def test_contract_name_of_code_evaluators_is_known() -> None:
    assert read_evaluator({"evaluator_type": "python", "code": CODE}).evaluator_type == "code"


@pytest.mark.parametrize(
    ("content", "is_run_here"),
    [
        ({"code": CODE}, True),
        ({"code": CODE, "where": "app"}, False),
        ({"where": "app"}, False),  # its source may stay in the app
        ({"evaluator_type": "human", "return_type": "text"}, False),
        ({"evaluator_type": "external"}, False),
    ],
)
def test_only_some_evaluators_are_run_here(content: dict[str, Any], is_run_here: bool) -> None:
    assert read_evaluator(content).is_run_here is is_run_here


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "needs its source"),
        ({"code": "  "}, "needs its source"),
        ({"code": 1}, "as text"),
        ({"code": CODE, "return_type": "maybe"}, "choose one of boolean, number"),
        ({"code": CODE, "evaluator_type": "magic"}, "evaluator_type 'magic'"),
        ({"code": CODE, "where": "moon"}, "where 'moon'"),
        ({"code": CODE, "options": "good"}, "a list"),
        ({"code": CODE, "options": [{"valence": "positive"}]}, "neither a text nor"),
        ({"code": CODE, "options": ["x" * 201]}, "neither a text nor"),
    ],
)
def test_wrong_content_is_refused_by_name(content: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read_evaluator(content)


def test_where_an_evaluator_is_attached_is_not_part_of_its_version() -> None:
    content = {"evaluator_type": "code", "code": CODE}
    attached = {**content, "on": "support/reply", "sample_rate": 0.5}
    assert content_hash("evaluator", content) == content_hash("evaluator", attached)
    assert content_hash("evaluator", content) != content_hash("evaluator", {"code": CODE + " "})
