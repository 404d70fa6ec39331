import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.query.ast import Text
from kibitz_collector.query.text import (
    BREAK,
    MAX_POSITIONS,
    Sought,
    body_pieces,
    has_tokens,
    index_text,
    index_tokens,
    sought,
)
from kibitz_collector.records import LogBody, LogError


def found(query: Text, *pieces: str) -> bool:
    return has_tokens(index_tokens(pieces), sought(query))


ASCII_WORD = re.compile("[a-z0-9\x80-\uffff]+")


@given(st.lists(st.text(alphabet="aB1 _-\n\0é東", max_size=90), max_size=4))
def test_the_text_for_the_index_splits_into_the_same_tokens(pieces):
    assert [
        token for token in ASCII_WORD.findall(index_text(pieces).lower()) if token != BREAK
    ] == [token for token in index_tokens(pieces) if token != BREAK]


def test_words_are_folded_and_composed():
    assert index_tokens(["Straße, CAFE\u0301 order_id!"]) == [
        "strasse",
        "caf\xe9",
        "order",
        "id",
        BREAK,
    ]


def test_cjk_runs_become_pairs_and_a_last_character():
    assert index_tokens(["東京都 ok"]) == ["東京", "京都", "都", "ok", BREAK]
    assert sought(Text("東京")) == Sought(("東京",), False)
    assert sought(Text("東")) == Sought(("東",), True)
    assert sought(Text("東京 ok", "phrase")) == Sought(("東京", "京", "ok"), False)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Text("REFUND"), True),
        (Text("refunds"), False),
        (Text("refu", "prefix"), True),
        (Text("my refund", "phrase"), True),
        (Text("refund my", "phrase"), False),
        (Text("my ref", "prefix"), True),
        (Text("京都"), True),
        (Text("都"), True),
        (Text("都京"), False),
        (Text("please thanks", "phrase"), False),
    ],
)
def test_words_phrases_and_prefixes_are_found(query, expected):
    assert found(query, "Where is my refund? 東京都 please", "thanks") is expected


@given(st.text(alphabet="東京都市ab ", min_size=1, max_size=30), st.data())
def test_any_part_of_a_cjk_run_is_found(text, data):
    runs = [run for run in "".join(c if c in "東京都市" else " " for c in text).split()]
    if not runs:
        return
    run = data.draw(st.sampled_from(runs))
    start = data.draw(st.integers(0, len(run) - 1))
    end = data.draw(st.integers(start + 1, len(run)))
    assert found(Text(run[start:end]), text)


def test_only_the_first_32_kb_count():
    text = "word " * 10_000
    assert not found(Text("late"), text + "late")
    assert found(Text("early"), "early " + text)


def test_repetitions_past_the_limit_are_not_positions():
    tokens = index_tokens(["a " * 300 + "b"])
    assert tokens.count("a") == MAX_POSITIONS
    assert tokens[-2:] == ["b", BREAK]


def test_a_log_is_searched_by_error_output_inputs_and_messages_but_not_keys():
    body = LogBody(
        error=LogError(type="Boom", message="went off"),
        output={"answer": ["yes", 3]},
        inputs={"question": "why"},
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "first"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"name": "look", "arguments": "{}"}],
            },
        ],
    )
    assert body_pieces("prompt", body) == [
        "Boom",
        "went off",
        "yes",
        "3",
        "why",
        "look",
        "{}",
        "first",
    ]
    assert body_pieces("evaluator", body) == []
