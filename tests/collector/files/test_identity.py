import pytest

from kibitz_collector.files.identity import canonical_content, content_hash, version_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"temperature": 1.0}, {"temperature": 1}),
        ({"temperature": 1}, {}),
        ({"max_tokens": None}, {}),
        ({"max_tokens": -0.0}, {"max_tokens": 0}),
        ({"model": "x", "inputs": {"q": 1}, "messages": [], "tool_choice": "auto"}, {"model": "x"}),
        (
            {"response_format": {"b": {"d": 1, "c": 2}}},
            {"response_format": {"b": {"c": 2, "d": 1}}},
        ),
    ],
)
def test_these_are_the_same_version(one: dict[str, object], other: dict[str, object]) -> None:
    assert content_hash("prompt", one) == content_hash("prompt", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"template": "a "}, {"template": "a"}),
        ({"template": "\u00e9"}, {"template": "e\u0301"}),
        ({"tools": ["a", "b"]}, {"tools": ["b", "a"]}),
        ({"seed": 0}, {}),
        ({"seed": 1}, {"seed": True}),
        ({"seed": 1}, {"seed": "1"}),
        ({"temperature": 0.7}, {"temperature": 0.70001}),
    ],
)
def test_these_are_two_versions(one: dict[str, object], other: dict[str, object]) -> None:
    assert content_hash("prompt", one) != content_hash("prompt", other)


def test_numbers_no_database_holds_have_a_hash() -> None:
    assert canonical_content("flow", {"n": 2**70}) == b'{"attributes":{},"n":"%d"}' % 2**70


def test_a_version_id_tells_its_kind_and_depends_on_file_and_content() -> None:
    hashed = content_hash("tool", {"function": {"name": "f"}})
    one = version_id("tool", "tl_a", hashed)
    assert one == version_id("tool", "tl_a", hashed)
    assert one.startswith("tv_")
    assert len(one) == len("tv_") + 21
    assert one != version_id("tool", "tl_b", hashed)
