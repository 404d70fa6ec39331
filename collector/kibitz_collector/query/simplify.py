"""Brings a tree into the one form the parser gives, without changing what it matches."""

from kibitz_collector.query.ast import EVERYTHING, And, Node, Not, Or, Text
from kibitz_collector.query.lexicon import is_plain_word

NOTHING = Not(EVERYTHING)


def simplify(node: Node) -> Node:
    """Flatten And in And and Or in Or, drop what changes nothing, mark texts as word or phrase."""
    match node:
        case And(parts):
            return _joined(And, parts, neutral=EVERYTHING, final=NOTHING)
        case Or(parts):
            return _joined(Or, parts, neutral=NOTHING, final=EVERYTHING)
        case Not(part):
            inner = simplify(part)
            return inner.part if isinstance(inner, Not) else Not(inner)
        case Text(text, "word") if not is_plain_word(text):
            return Text(text, "phrase")
        case _:
            return node


def _joined(
    kind: type[And] | type[Or], parts: tuple[Node, ...], *, neutral: Node, final: Node
) -> Node:
    flat: list[Node] = []
    for part in map(simplify, parts):
        if part == final:
            return final
        if part == neutral:
            continue
        if isinstance(part, kind):
            flat.extend(part.parts)
        else:
            flat.append(part)
    if not flat:
        return neutral
    return flat[0] if len(flat) == 1 else kind(tuple(flat))
