"""What filter text is made of: shared by the parser and by `unparse`, so that they agree."""

import re

from kibitz_collector.query.ast import Op

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
BARE = re.compile(r'[^\s()"]+')
TERM = re.compile(
    r"""(?P<name>[A-Za-z_]\w*)
        (?:\.(?P<key>"(?:[^"\\]|\\.)*"|[^\s:=<>!~()"]+))?
        (?P<op>:|\s*(?:!=|<=|>=|[=<>~]))\s*""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
NAMED = re.compile(r'(?P<name>[A-Za-z_]\w*)(?:\.(?P<key>"(?:[^"\\]|\\.)*"|[^\s()"]+))?', re.ASCII)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
KEYWORDS = frozenset({"AND", "OR", "NOT"})
OPERATORS: dict[str, Op] = {
    ":": "=",
    "=": "=",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "~": "contains",
}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_KEY = re.compile(r'[^\s:=<>!~()"]+')
_PLAIN_VALUE = re.compile(r"[\w./@%+,;#:-]+")


def unescape(text: str) -> str:
    r"""Undo `\"`, `\\` and `\*`."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def quote(text: str) -> str:
    """Write text in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def stars(text: str) -> tuple[int, int]:
    r"""Count the `*` that are wildcards and those meant as themselves (`\*`)."""
    escaped = sum(found[1] == "*" for found in _ESCAPE.finditer(text))
    return text.count("*") - escaped, escaped


def is_plain_word(text: str) -> bool:
    """Say whether text is read as one search word when it stands unquoted."""
    return (
        BARE.fullmatch(text) is not None
        and text not in KEYWORDS
        and not text.startswith("-")
        and not {"*", "\\"} & set(text)
        and TERM.match(text) is None
    )


def is_plain_value(text: str) -> bool:
    """Say whether text is read as itself after an operator when it stands unquoted."""
    return _PLAIN_VALUE.fullmatch(text) is not None


def is_plain_key(text: str) -> bool:
    """Say whether text is read as itself after `metadata.` when it stands unquoted."""
    return _PLAIN_KEY.fullmatch(text) is not None
