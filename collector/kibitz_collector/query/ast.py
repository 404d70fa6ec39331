"""What a filter text becomes: a small tree, the same for SQL and for matching in memory."""

from dataclasses import dataclass
from typing import Literal

Op = Literal["=", "!=", "<", "<=", ">", ">=", "contains", "like", "exists"]
Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field op value`. `field` is a name of `query.fields.FIELDS`.

    `key` is the second half of `metadata.<key>` and `judgment.<evaluator path>`. `like` takes `*`
    as the only wildcard; `exists` has no value.
    """

    field: str
    op: Op
    value: Value
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Words in inputs, messages, outputs or errors: one word, a phrase, or a prefix (`refun*`)."""

    text: str
    how: Literal["word", "phrase", "prefix"] = "word"


@dataclass(frozen=True, slots=True)
class And:
    """All of them; empty: everything."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary; a comparison with an unknown value is false, and its Not true."""

    part: "Node"


Node = Comparison | Text | And | Or | Not
EVERYTHING = And(())
