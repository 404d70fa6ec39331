"""Reads filter text into a tree.

    kind:prompt model:gpt-4o* -status:error cost>0.01 (user:u1 OR user:u2) refund "a phrase"

Conditions side by side must all hold; `OR` binds weaker, `-` and `NOT` stronger. Length, depth and
number of conditions are bounded, because the text may come from anybody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from kibitz_collector.errors import BadQuery
from kibitz_collector.query import values
from kibitz_collector.query.ast import And, Comparison, Node, Not, Op, Or, Text, Value
from kibitz_collector.query.fields import FIELDS, Field, check
from kibitz_collector.query.lexicon import (
    BARE,
    NAMED,
    OPERATORS,
    QUOTED,
    TERM,
    UNSTORABLE,
    stars,
    unescape,
)
from kibitz_collector.query.simplify import simplify
from kibitz_collector.query.text import sought

MAX_CHARACTERS = 8_192
MAX_DEPTH = 40
MAX_TERMS = 200
MAX_STARS = 8


def parse(text: str) -> Node:
    """Read a filter; the empty one is everything.

    Raises: BadQuery, with the position and what to do about it.
    """
    if len(text) > MAX_CHARACTERS:
        raise _bad(f"{len(text)} characters are too many; the limit is {MAX_CHARACTERS}", 0)
    unstorable = UNSTORABLE.search(text)
    if unstorable is not None:
        raise _bad("no Log holds this character; leave it out", unstorable.start())
    return simplify(_Parser(text).whole())


@dataclass(slots=True)
class _Literal:
    """A value as written: `text` with its escapes undone, `stars` its wildcards."""

    text: str
    at: int
    is_quoted: bool
    stars: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Node:
        node = self._any()
        if self._at < len(self._text):
            raise _bad("there is no ( for this )", self._at)
        return node

    def _any(self) -> Node:
        parts = [self._all()]
        while self._sees("OR"):
            at = self._at
            self._at += 2
            parts.append(self._all())
            if not parts[-2] or not parts[-1]:
                raise _bad('OR needs a condition on both sides; search for the word as "OR"', at)
        return Or(tuple(And(tuple(part)) for part in parts))

    def _all(self) -> list[Node]:
        parts: list[Node] = []
        while not self._is_at_end():
            at = self._at
            if self._sees("AND"):
                self._at += 3
                if not parts or self._is_at_end() or self._sees("AND"):
                    raise _bad(
                        'AND needs a condition on both sides; search for the word as "AND"', at
                    )
            parts.append(self._one())
        return parts

    def _one(self) -> Node:
        at = self._at
        is_minus = self._text[at] == "-"
        if is_minus or self._sees("NOT"):
            self._at += 1 if is_minus else 3
            if self._is_at_end() or self._sees("AND"):
                raise _bad("a condition must follow - and NOT", at)
            return Not(self._deeper(at, self._one))
        if self._text[at] == "(":
            self._at += 1
            node = self._deeper(at, self._any)
            if self._at >= len(self._text):
                raise _bad("this ( is never closed", at)
            self._at += 1
            return node
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise _bad(f"more than {MAX_TERMS} conditions; use fewer", at)
        term = TERM.match(self._text, at)
        if term is None:
            return self._words()
        field, key = _named(term["name"], term["key"], at)
        self._at = term.end()
        literal = self._literal(at)
        return _comparison(field, key, OPERATORS[term["op"].strip()], literal, at)

    def _words(self) -> Node:
        literal = self._literal(self._at)
        text, how = literal.text, "phrase" if literal.is_quoted else "word"
        if literal.is_quoted:
            if self._text[self._at : self._at + 1] == "*":
                self._at += 1
                how = "prefix"
        elif literal.stars:
            if literal.stars > 1 or not text.endswith("*"):
                raise _bad("a * may only end a word", literal.at)
            text, how = text[:-1], "prefix"
        node = Text(text, how)  # type: ignore[arg-type]  # one of the three
        if not sought(node).tokens:
            raise _bad(f"{literal.text!r} holds no letter or digit to search for", literal.at)
        return node

    def _literal(self, start: int) -> _Literal:
        at = self._at
        if self._text[at : at + 1] == '"':
            found = QUOTED.match(self._text, at)
            if found is None:
                raise _bad("this quote is never closed", at)
            raw, is_quoted = found[1], True
        else:
            found = BARE.match(self._text, at)
            if found is None:
                raise _bad(f"a value must follow {self._text[start:at].strip()!r}", at)
            raw, is_quoted = found[0], False
        self._at = found.end()
        wild, plain = stars(raw)
        if wild and plain:
            raise _bad("a * as itself and one as wildcard do not go together", at)
        if wild > MAX_STARS:
            raise _bad(f"more than {MAX_STARS} wildcards in one value", at)
        return _Literal(unescape(raw), at, is_quoted, wild)

    def _deeper(self, at: int, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _bad(f"nested more than {MAX_DEPTH} deep; use fewer parentheses", at)
        node = read()
        self._depth -= 1
        return node

    def _is_at_end(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at >= len(self._text) or self._text[self._at] == ")" or self._sees("OR")

    def _sees(self, word: str) -> bool:
        if not self._text.startswith(word, self._at):
            return False
        after = self._text[self._at + len(word) : self._at + len(word) + 1]
        return not after or after.isspace() or after in '()"'


def _named(name: str, key: str | None, at: int) -> tuple[Field, str | None]:
    """Find the field of `name` or `name.key`."""
    whole = name if key is None else f"{name}.{key}"
    if whole in FIELDS:
        return FIELDS[whole], None
    field = FIELDS.get(name)
    if field is not None and field.takes_key and key is not None:
        return field, unescape(key[1:-1]) if key.startswith('"') else key
    close = get_close_matches(whole, FIELDS, 1) or get_close_matches(name, FIELDS, 1)
    guess = f"did you mean {close[0]}? else " if close else ""
    raise _bad(f"unknown field {whole!r}; {guess}put it in quotes to search for it as text", at)


def _comparison(field: Field, key: str | None, op: Op, literal: _Literal, at: int) -> Node:
    """Give a comparison the type its field asks for."""
    if field.type == "has":
        return _exists(op, literal, at)
    value: Value = literal.text
    if literal.stars and op in ("=", "!=") and field.type not in ("number", "duration"):
        if op == "!=":
            raise _bad(f"write -{field.name}:{literal.text} instead of != with a *", at)
        op = "like"
    elif op != "contains":
        value = _typed(field, op, literal)
    if field.type == "time" and op == "=" and values.is_date(literal.text):
        day = int(value)  # type: ignore[arg-type]  # a date is read as ns
        return And(
            (
                Comparison(field.name, ">=", day),
                Comparison(field.name, "<", day + values.DAY_NS),
            )
        )
    node = Comparison(field.name, op, value, key)
    try:
        check(node)
    except BadQuery as error:
        raise _bad(error.message, at) from None
    return node


def _exists(op: Op, literal: _Literal, at: int) -> Node:
    named = NAMED.fullmatch(literal.text)
    if op != "=" or named is None:
        raise _bad("write has:error, has:judgment, has:cost or has: with another field", at)
    field, key = _named(named["name"], named["key"], literal.at)
    if field.type == "has":
        raise _bad("has:has says nothing; name a field", literal.at)
    return Comparison(field.name, "exists", None, key)


def _typed(field: Field, op: Op, literal: _Literal) -> Value:
    """Read the value of a comparison as its field's type."""
    text = literal.text
    value: Value = None
    match field.type:
        case "number":
            value, form = values.read_number(text), "a number like 0.01"
        case "duration":
            value, form = values.read_duration_ms(text), "a duration like 250ms, 2s or 1.5m"
        case "time":
            value, form = values.read_time(text), "a time like 2026-11-01, 2026-11-01T10:30 or -1h"
        case "choice":
            folded = text.casefold()
            value, form = (
                (folded if folded in field.choices else None),
                f"one of {', '.join(field.choices)}",
            )
        case "metadata" if op in ("=", "!="):
            return text
        case "judgment" if op in ("=", "!="):
            return text if literal.is_quoted else _judged(text)
        case "metadata" | "judgment":
            value, form = values.read_number(text), "a number"
        case _:
            return text
    if value is None:
        raise _bad(f"{field.name} needs {form}, not {text[:80]!r}", literal.at)
    return value


def _judged(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    number = values.read_number(text)
    return text if number is None else number


def _bad(message: str, at: int) -> BadQuery:
    return BadQuery(f"{message} (at character {at + 1})", position=at)
