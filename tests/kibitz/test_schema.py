import dataclasses
import datetime
import enum
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict

import pydantic
import pytest

import kibitz
from kibitz._schema import tool_schema

UserId = NewType("UserId", str)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Node:
    """A node of a tree."""

    name: str
    children: list["Node"] = dataclasses.field(default_factory=list)
    weight: float = 1.5


class Options(TypedDict):
    limit: int
    sort: NotRequired[Literal["up", "down"]]


class Address(pydantic.BaseModel):
    """Where to."""

    street: str = pydantic.Field(description="with number")
    zip: str | None = None


def properties(hint: Any) -> Any:
    def function(x): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"x": hint}
    return tool_schema(function)["parameters"]["properties"]["x"]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (Any, {}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Colour, {"type": "string", "enum": ["red", "blue"]}),
        (Level, {"type": "integer", "enum": [1]}),
        (Optional[int], {"type": ["integer", "null"]}),  # noqa: UP045  the old form is meant
        (
            list[int] | None,
            {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        ),
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (
            Annotated[str, pydantic.Field(description="a text")],
            {"type": "string", "description": "a text"},
        ),
        (datetime.date, {"type": "string", "format": "date"}),
        (UserId, {"type": "string"}),
        (object, {}),
        ("NoSuchName", {}),
    ],
    ids=str,
)
def test_hints_become_schemas(hint: Any, schema: Any) -> None:
    assert properties(hint) == schema


def test_a_tool_says_what_it_takes() -> None:
    @kibitz.tool(path="shop/find")
    def find(
        text: Annotated[str, "what to look for"],
        options: Options,
        tree: Node,
        address: Address,
        colour: Colour = Colour.RED,
        limit: int = 10,
        *rest: str,
        **more: str,
    ) -> list[str]:
        """Find products.

        Slowly.
        """
        return []

    schema = find.json_schema
    assert schema["name"] == "find"
    assert schema["description"] == "Find products.\n\nSlowly."
    parameters = schema["parameters"]
    assert parameters["required"] == ["text", "options", "tree", "address"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"] == {
        "text": {"type": "string", "description": "what to look for"},
        "options": {"$ref": "#/$defs/Options"},
        "tree": {"$ref": "#/$defs/Node"},
        "address": {"$ref": "#/$defs/Address"},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "limit": {"type": "integer", "default": 10},
    }
    assert parameters["$defs"]["Options"] == {
        "type": "object",
        "properties": {
            "limit": {"type": "integer"},
            "sort": {"type": "string", "enum": ["up", "down"]},
        },
        "required": ["limit"],
        "additionalProperties": False,
    }
    assert parameters["$defs"]["Node"]["properties"] == {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "weight": {"type": "number", "default": 1.5},
    }
    assert parameters["$defs"]["Node"]["description"] == "A node of a tree."
    assert parameters["$defs"]["Address"]["properties"]["street"]["description"] == "with number"


def test_a_method_s_instance_is_no_parameter() -> None:
    class Shop:
        @kibitz.tool
        def find(self, text: str) -> None: ...

    assert list(Shop.find.json_schema["parameters"]["properties"]) == ["text"]
