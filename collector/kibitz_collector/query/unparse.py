"""Writes a tree as filter text: `parse(unparse(node))` is `simplify(node)`."""

from kibitz_collector.query import values
from kibitz_collector.query.ast import And, Comparison, Node, Not, Op, Or, Text
from kibitz_collector.query.fields import FIELDS, Type
from kibitz_collector.query.lexicon import is_plain_key, is_plain_value, is_plain_word, quote
from kibitz_collector.query.simplify import simplify

_SIGNS: dict[Op, str] = {"=": ":", "like": ":", "contains": "~"}


def unparse(node: Node) -> str:
    """Write a tree in the shortest form people would write it in."""
    simple = simplify(node)
    return _written(simple, inside=None)


def _written(node: Node, inside: type[And] | type[Or] | type[Not] | None) -> str:
    match node:
        case And(parts):
            text = " ".join(_written(part, And) for part in parts)
            return f"({text})" if inside is Not or (inside and not parts) else text
        case Or(parts):
            text = " OR ".join(_written(part, Or) for part in parts)
            return f"({text})" if inside else text
        case Not(part):
            return "-" + _written(part, Not)
        case Text(text, "prefix"):
            return (text if is_plain_word(text) else quote(text)) + "*"
        case Text(text, "word") if is_plain_word(text):
            return text
        case Text(text):
            return quote(text)
        case Comparison():
            return _comparison(node)


def _comparison(node: Comparison) -> str:
    name = node.field
    if node.key is not None:
        name += "." + (node.key if is_plain_key(node.key) else quote(node.key))
    if node.op == "exists":
        return f"has:{name}" if node.key is None or is_plain_key(node.key) else f"has:{quote(name)}"
    return f"{name}{_SIGNS.get(node.op, node.op)}{_value(node, FIELDS[node.field].type)}"


def _value(node: Comparison, field_type: Type) -> str:
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, node, field_type)
    number = float(value or 0)
    if field_type == "time":
        return values.write_time(value or 0)
    return values.write_number(number)


def _text(value: str, node: Comparison, field_type: Type) -> str:
    is_like = node.op == "like"
    looks_typed = field_type == "judgment" and (
        value in ("true", "false") or values.read_number(value) is not None
    )
    if is_plain_value(value.replace("*", "") if is_like else value) and not looks_typed:
        return value
    quoted = quote(value)
    return quoted if is_like else quoted.replace("*", "\\*")
