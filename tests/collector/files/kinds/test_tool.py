"""What a Tool's content says of what it takes."""

from typing import Any

import pytest

from kibitz_collector.files.kinds.tool import function_of, parameter_names

SCHEMA = {"name": "f", "description": "d", "parameters": {"properties": {"x": {}, "y": {}}}}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"function": SCHEMA}, ["x", "y"]),
        ({"source_code": "def f(a, b: int = 3): ...", "function": SCHEMA}, ["a", "b"]),
        ({"source_code": "def g(q): ...\nasync def h(\n    a: list[str],\n): ..."}, ["a"]),
        ({"source_code": "def f(a): ...\ndef g(b): ...", "function": SCHEMA}, ["a"]),
        ({"source_code": "def f(a=')', b={1: (2, 3)}, *, c=''): ..."}, ["a", "b", "c"]),
        ({"source_code": "class A:\n    def f(self): ...\n"}, []),
        ({"source_code": "def f("}, []),
        ({"source_code": "x = 1"}, []),
        ({"tool_type": "google"}, ["query"]),
        ({"tool_type": "pinecone_search"}, ["query", "top_k"]),
        (
            {
                "tool_type": "get_api_call",
                "setup_values": {"url": "http://h/{city}", "params": {"unit": "si", "day": None}},
            },
            ["city", "day"],
        ),
        ({"tool_type": "get_api_call", "setup_values": {"params": ["a", "b"]}}, ["a", "b"]),
        ({}, []),
    ],
)
def test_arguments_are_named_in_their_order(content: dict[str, Any], names: list[str]) -> None:
    assert parameter_names(content) == names


def test_model_is_told_of_a_search_by_the_name_of_its_file() -> None:
    found = function_of({"tool_type": "pinecone_search"}, "my docs")
    assert found is not None
    assert (found["name"], found["parameters"]["required"]) == ("my_docs", ["query"])
    assert function_of({"source_code": "def f(): ..."}, "f") is None
    assert function_of({"function": SCHEMA}, "f") == SCHEMA
