import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz._record import text_attribute
from kibitz._serialize import snapshot


def read(value: Any) -> Any:
    return json.loads(snapshot(value).text)


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    number: str
    key: str = dataclasses.field(default="hidden", repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    secret: pydantic.SecretStr = pydantic.SecretStr("s3cret")


class Hostile:
    def __repr__(self) -> str:
        raise AssertionError("repr was called")

    __str__ = __repr__

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("was iterated")

    def __len__(self) -> int:
        raise AssertionError("len was called")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was read")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("was compared")

    def __hash__(self) -> int:
        raise AssertionError("was hashed")


class HostileDict(dict[str, int]):
    def items(self) -> Any:
        raise AssertionError("items was called")

    __iter__ = items


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "ü"]}, {"a": [1, 2.5, None, True, "ü"]}),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (collections.deque([1]), [1]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (HostileDict(a=1), {"a": 1}),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "null": "b", "[1,2]": "c"}),
        ({Colour.RED: "d"}, {"red": "d"}),
        (math.nan, "NaN"),
        ([math.inf, -math.inf], ["Infinity", "-Infinity"]),
        (2**64, str(2**64)),
        (-(2**70), str(-(2**70))),
        (10**5000, "<int of 16610 bits>"),
        (b"text", "text"),
        (b"\xff\x00", "<bytes of 2 bytes>"),
        (bytearray(9999), "<bytearray of 9999 bytes>"),
        (memoryview(b"abc"), "<memoryview of 3 bytes>"),
        ("a\ud800b", "a�b"),
        ({"\udfff": "x"}, {"�": "x"}),
        (Colour.RED, "red"),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Order("A1"), {"number": "A1"}),
        (Slotted(3), {"a": 3}),
        (Model(name="n", more=1), {"name": "n", "secret": "<pydantic.types.SecretStr>", "more": 1}),  # type: ignore[call-arg]
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.float64(1.5), 1.5),
        (np.int32(7), 7),
        (np.zeros((2000, 2)), "<numpy.ndarray shape=(2000, 2)>"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a/b"), "/a/b"),
        (1 + 2j, "(1+2j)"),
        (ValueError("no"), "ValueError: no"),
        (int, "<class builtins.int>"),
        (math, "<module math>"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_become_json(value: Any, expected: Any) -> None:
    assert read(value) == expected


def test_unknown_objects_are_named_and_never_touched() -> None:
    assert read([Hostile()]) == [f"<{__name__}.Hostile>"]
    assert read({"a": Hostile()}) == {"a": f"<{__name__}.Hostile>"}


def test_generators_are_not_consumed() -> None:
    numbers = iter(range(3))
    stream = (n for n in numbers)
    assert read([stream]) == ["<generator>"]
    assert list(stream) == [0, 1, 2]


def test_cycles_end() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert read(value) == [1, "<cycle>"]
    order = Order("A1")
    order.number = order  # type: ignore[assignment]
    assert read(order) == {"number": "<cycle>"}


def test_the_same_value_twice_is_no_cycle() -> None:
    twice = {1, 2}
    assert read([twice, twice]) == [[1, 2], [1, 2]]


def test_depth_is_bounded() -> None:
    value: Any = 1
    for _ in range(3000):
        value = [value]
    text, original_bytes = snapshot(value)
    assert len(text) < 100
    assert original_bytes


def test_a_huge_text_is_cut_with_a_marker_and_its_size() -> None:
    text, original_bytes = snapshot({"a": "word " * 2_000_000}, 1000)
    assert len(text) < 1200
    assert "…[cut, 10000000 characters]" in text
    assert original_bytes > 9_900_000


def test_half_a_secret_does_not_survive_at_the_cut() -> None:
    text = snapshot("x " * 480 + "sk-" + "a" * 100, 1000).text
    assert "sk-" not in text


def test_many_items_are_left_out() -> None:
    text, original_bytes = snapshot(list(range(1_000_000)))
    assert len(text) < 20_000
    assert json.loads(text)[-1] == "… 999000 more"
    assert original_bytes


def test_a_copy_is_taken_at_once() -> None:
    value = {"a": [1]}
    text = snapshot(value).text
    value["a"].append(2)
    assert text == '{"a":[1]}'


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.tuples(inner)
        | st.builds(Order, inner)  # type: ignore[arg-type]
    ),
    max_leaves=30,
)


@given(anything)
def test_any_value_becomes_valid_json_of_bounded_size(value: Any) -> None:
    text, _ = snapshot(value, 2000)
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert len(text) < 60_000
    json.loads(text_attribute("k", text))


def test_a_long_text_without_blanks_is_cut_at_once() -> None:
    image = "A" * 10_000_000  # base64: one word
    started = time.perf_counter()
    text, original_bytes = snapshot({"image": image})
    assert time.perf_counter() - started < 1.0  # 0.03 on a quiet machine
    assert len(text) < 400_000
    assert original_bytes > 9_000_000
