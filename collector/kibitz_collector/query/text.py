"""The one tokenizer of the text index, for both databases and for matching in memory.

A text becomes words: Unicode letters and digits, NFC, case folded. Chinese, Japanese and Korean
runs become overlapping pairs of characters, and their last character once more alone, so that any
part of a run is found. What is searched for is a row of adjacent tokens whose last may be a prefix.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kibitz_collector.query.ast import Text
from kibitz_collector.records import LogBody

MAX_TEXT_BYTES = 32 * 1024
MAX_TOKENS = 16_000  # PostgreSQL's tsvector counts positions no further than 16,383
MAX_TOKEN_CHARACTERS = 64
MAX_POSITIONS = 255  # PostgreSQL's tsvector keeps no more of one word; so nobody does
BREAK = "\x80"  # stands where no phrase may run through; no word has a control character

_CJK = (
    "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_RUN = re.compile(f"([{_CJK}]+)|[^\\W_{_CJK}]+")
_ASCII_FOLD = bytes(
    ord(chr(c).lower()) if c < 128 and chr(c).isalnum() else 32 for c in range(256)
).decode()
_ASCII_RUNS = bytes(97 if c < 128 and chr(c).isalnum() else 32 for c in range(256))
_TOO_LONG = b"a" * (MAX_TOKEN_CHARACTERS + 1)
_SPLITS_ITSELF = 4096  # characters: below, no word of real text comes MAX_POSITIONS times
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Sought:
    """Adjacent tokens to look for; `is_prefix` concerns the last."""

    tokens: tuple[str, ...]
    is_prefix: bool


def index_tokens(pieces: Sequence[str]) -> list[str]:
    """Return the tokens to index, in order, with a BREAK after each piece.

    At most MAX_TEXT_BYTES of text count; a word's occurrences past MAX_POSITIONS become BREAKs.
    """
    tokens: list[str] = []
    left = MAX_TEXT_BYTES
    for piece in pieces:
        # A character has at least one byte: cut first, so that 20 MB are not encoded for 32 KB.
        encoded = piece[:left].encode("utf-8", "ignore")[:left]
        left -= len(encoded)
        tokens += _split(encoded.decode("utf-8", "ignore"))
        if tokens and tokens[-1] != BREAK:
            tokens.append(BREAK)
        if left <= 0 or len(tokens) >= MAX_TOKENS:
            break
    return _thinned(tokens[:MAX_TOKENS])


def index_text(pieces: Sequence[str]) -> str:
    """Return a text that yields `index_tokens` when split as SQLite's `ascii` tokenizer does.

    Short ASCII texts go to the index as they are: it folds and splits at the same characters, so
    splitting here too would be most of what indexing costs (measured: 60 of 100 µs).
    """
    text = f" {BREAK} ".join(pieces)
    if (
        len(text) <= _SPLITS_ITSELF
        and all(map(str.isascii, pieces))
        and _TOO_LONG not in text.encode("latin-1").translate(_ASCII_RUNS)
    ):
        return text
    return " ".join(index_tokens(pieces))


def _thinned(tokens: list[str]) -> list[str]:
    """Put a BREAK for each occurrence of a word past MAX_POSITIONS."""
    if len(tokens) <= MAX_POSITIONS:
        return tokens
    left = {
        token: MAX_POSITIONS for token, count in Counter(tokens).items() if count > MAX_POSITIONS
    }
    for place, token in enumerate(tokens) if left else ():
        if token in left:
            left[token] -= 1
            if left[token] < 0:
                tokens[place] = BREAK
    return tokens


def sought(node: Text) -> Sought:
    """Return what a Text node looks for; no tokens: nothing can be found by it."""
    tokens = _split(node.text)
    is_prefix = node.how == "prefix"
    if tokens and _is_cjk(tokens[-1]) and len(tokens[-1]) == 1:
        if len(tokens) > 1 and _is_cjk(tokens[-2]) and tokens[-2].endswith(tokens[-1]):
            tokens.pop()  # the end of a longer run, whose text may go on
            is_prefix = False
        else:
            is_prefix = True
    return Sought(tuple(tokens), is_prefix)


def has_tokens(tokens: Sequence[str], wanted: Sought) -> bool:
    """Say whether the wanted tokens stand side by side in a text's index tokens."""
    if not wanted.tokens:
        return False
    *before, last = wanted.tokens
    for end, token in enumerate(tokens[len(before) :], len(before)):
        if token != last and not (wanted.is_prefix and token.startswith(last)):
            continue
        if before == list(tokens[end - len(before) : end]):
            return True
    return False


def body_pieces(kind: str, body: LogBody) -> list[str]:
    """Return the texts of a Log that are searched: errors, output, inputs, messages, newest first.

    Judgments are not: what an Evaluator says about a Log would be found in its stead.
    """
    if kind == "evaluator":
        return []
    pieces: list[str] = []
    if body.error is not None:
        pieces += [text for text in (body.error.type, body.error.message) if text]
    _add_strings(body.output, pieces)
    _add_strings(body.inputs, pieces)
    if body.output is None:
        _add_message(body.output_message, pieces)
    for message in reversed(body.messages or ()):
        _add_message(message, pieces)
    return pieces


def _split(text: str) -> list[str]:
    if text.isascii():
        words = text.translate(_ASCII_FOLD).split()
        if len(text) > MAX_TOKEN_CHARACTERS:
            words = [word[:MAX_TOKEN_CHARACTERS] for word in words]
        return words
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    tokens: list[str] = []
    for found in _RUN.finditer(folded):
        run = found.group()
        if found.lastindex:
            tokens += (run[start : start + 2] for start in range(len(run)))
        else:
            tokens.append(run[:MAX_TOKEN_CHARACTERS])
    return tokens


def _is_cjk(token: str) -> bool:
    found = _RUN.match(token)
    return found is not None and found.lastindex is not None


def _add_strings(value: Any, pieces: list[str], depth: int = 0) -> None:
    """Add the strings in a JSON value; numbers as JSON writes them, keys are not searched."""
    if isinstance(value, str):
        pieces.append(value)
    elif isinstance(value, bool) or value is None or depth > _MAX_DEPTH:
        return
    elif isinstance(value, int | float):
        if value - value == 0:  # NaN and infinities are stored as null
            pieces.append(repr(value))
    elif isinstance(value, dict):
        for inner in value.values():
            _add_strings(inner, pieces, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _add_strings(inner, pieces, depth + 1)


def _add_message(message: Any, pieces: list[str]) -> None:
    """Add a message's text: content, reasoning, names and arguments of tool calls, no images."""
    if not isinstance(message, dict):
        return
    content = message.get("content")
    if isinstance(content, str):
        pieces.append(content)
    else:
        for part in content if isinstance(content, list) else message.get("parts") or ():
            if isinstance(part, dict):
                _add_texts(part, ("text", "content"), pieces)
    if isinstance(message.get("reasoning"), str):
        pieces.append(message["reasoning"])
    for call in message.get("tool_calls") or ():
        if isinstance(call, dict):
            function = call.get("function")
            source = function if isinstance(function, dict) else call
            _add_texts(source, ("name", "arguments"), pieces)


def _add_texts(source: dict[str, Any], keys: tuple[str, ...], pieces: list[str]) -> None:
    for key in keys:
        text = source.get(key)
        if isinstance(text, str):
            pieces.append(text)
