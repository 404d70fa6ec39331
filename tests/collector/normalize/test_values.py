"""Values in disguise are read for what they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.normalize import values


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (values.number, "0.5", 0.5),
        (values.number, "12", 12),
        (values.number, 21.0, 21.0),
        (values.number, True, None),
        (values.number, "many", None),
        (values.number, "inf", None),
        (values.number, "nan", None),
        (values.number, "9" * 50, None),
        (values.integer, 21.0, 21),
        (values.integer, "-1", None),
        (values.integer, 2**64, None),
        (values.flag, "True", True),
        (values.flag, "false", False),
        (values.flag, "perhaps", None),
        (values.text, "None", None),
        (values.text, "", None),
        (values.text, 5, "5"),
        (values.quoted_text, '"CHAT_MODEL"', "CHAT_MODEL"),
        (values.texts, "('a', 'b c')", ["a", "b c"]),
        (values.texts, '["a"]', ["a"]),
        (values.texts, "['a']", ["a"]),
        (values.texts, "a", ["a"]),
        (values.texts, [], None),
        (values.json_value, '{"a": 1}', {"a": 1}),
        (values.json_value, "{not json", "{not json"),
        (values.json_value, "plain", "plain"),
        (values.json_object, "[1]", None),
    ],
)
def test_reading(read: Any, value: Any, expected: Any) -> None:
    found = read(value)
    assert found == expected
    assert type(found) is type(expected)


def test_json_in_text_is_cleaned_and_bounded() -> None:
    assert values.parse_json('"a\\u0000b"') == "a\ufffdb"
    assert values.parse_json('"\\ud800"') == "\ufffd"
    assert values.parse_json('{"a": NaN, "b": 1e400}') == {"a": None, "b": None}
    assert values.parse_json(str(10**30)) in (1e30, str(10**30))
    assert values.parse_json("[" * 5000 + "]" * 5000) is None
    deep = values.parse_json("[" * 60 + "]" * 60)
    for _ in range(32):
        deep = deep[0]
    assert deep == "[…]"


def unflatten(*pairs: tuple[str, Any]) -> Any:
    keys, given = zip(*pairs, strict=True)
    return values.fill(values.shape(keys), given)


def test_flattened_keys_are_rebuilt() -> None:
    made = unflatten(("0.a.b", 1), ("10.a", 3), ("2", 2), ("0.a.c.0", "x"))
    assert made == [{"a": {"b": 1, "c": ["x"]}}, 2, {"a": 3}]
    assert unflatten(("a", 1), ("a.b", 2)) == {"a": 1}
    assert unflatten(("a.b", 2), ("a", 1)) == {"a": {"b": 2}}


@given(
    st.recursive(st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_bounded_values_stay_within_what_json_and_sql_hold(value: Any) -> None:
    bounded = values.bounded(value)
    assert values.parse_json(values.dumps(bounded)) is not None or bounded in ("null", None)
