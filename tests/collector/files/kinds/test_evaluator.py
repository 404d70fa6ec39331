"""What an Evaluator's content may be."""

from typing import Any

import pytest

from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import content_hash
from kibitz_collector.files.kinds.evaluator import (
    DEFAULT_EVALUATORS,
    EvaluatorSpec,
    read_evaluator,
)

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
        ({"evaluator_type": "llm", "prompt": {"model": "m"}}, True),
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
        ({"code": CODE, "options": [{"name": "a", "valence": "good"}]}, "valence of option 'a'"),
        ({"code": CODE, "number_valence": "up"}, "number_valence 'up'"),
        ({"code": CODE, "arguments_type": "all"}, "arguments_type 'all'"),
        ({"code": CODE, "number_limits": [1]}, "number_limits must be an object"),
        ({"code": CODE, "number_limits": {"min": "1"}}, "number_limits.min '1'"),
        ({"code": CODE, "number_limits": {"max": True}}, "number_limits.max True"),
        ({"code": CODE, "number_limits": {"min": 2, "max": 1}}, "min 2 is over max 1"),
        ({"code": CODE, "number_limits": {"step": 0}}, "step 0 must be over 0"),
        ({"evaluator_type": "llm", "prompt": "x"}, "prompt must be an object"),
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


@pytest.mark.parametrize(
    ("limits", "right", "wrong"),
    [
        ({}, [0, -1e9, 0.1], []),
        ({"min": 1, "max": 5}, [1, 5, 2.5], [0.99, 5.01]),
        ({"min": 1, "max": 5, "step": 1}, [1, 3.0, 5], [2.5]),
        ({"step": 0.1}, [0.3, 0.1 + 0.2, -0.7, 1e6], [0.25]),
        ({"min": 0.5, "step": 2}, [0.5, 2.5], [2]),
    ],
)
def test_limits_allow_numbers_between_them_and_on_their_steps(
    limits: dict[str, float], right: list[float], wrong: list[float]
) -> None:
    read = read_evaluator({"code": CODE, "number_limits": limits}).limits
    assert [read.problem(value) for value in right] == [None] * len(right)
    assert all(read.problem(value) for value in wrong)


@pytest.mark.parametrize("content", DEFAULT_EVALUATORS.values(), ids=list(DEFAULT_EVALUATORS))
def test_default_evaluators_can_be_read(content: dict[str, Any]) -> None:
    assert read_evaluator(content).evaluator_type == "human"


def test_defaults_of_a_judges_prompt_do_not_make_another_version() -> None:
    def hash_of(**prompt: Any) -> str:
        return content_hash("evaluator", {"evaluator_type": "llm", "prompt": prompt})

    said = hash_of(model="m", temperature=1.0, provider="openai", max_tokens=-1, stop=None)
    assert hash_of(model="m") == said
    assert hash_of(model="m", temperature=0) != said
