"""Scrubbing of records, at the one place all of them pass: secrets always, more when asked for.

Fails closed: what cannot be scrubbed does not leave.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import orjson
from ahocorasick_rs import BytesAhoCorasick, MatchKind

from kibitz import semconv as sc
from kibitz._guard import report
from kibitz._patterns import PERSONAL, SECRETS
from kibitz.errors import ConfigError

FAILED = "[redaction failed]"

Hook = Callable[[str, str], str]

# Up to here, and with like ones together, an automaton compares whole vectors: 0.6 µs, not 5 µs.
_MOST_ANCHORS = 54
_SMALL_BYTES = 64 * 1024
_BEFORE, _AFTER = 256, 16 * 1024  # of a hit in a large record: where its pattern is tried
_KEPT_ON_FAILURE = frozenset(
    {sc.FILE_PATH, sc.FILE_TYPE, sc.RECORD, sc.OPERATION, sc.JUDGED_LOG_ID, sc.JUDGMENT_ID}
)

Span = tuple[int, int]


def build_redactor(setting: Any) -> Redactor:
    """Make the redactor for `init(redact=…)`: a flag, names of personal patterns, or a function.

    Raises: ConfigError: it names a pattern that does not exist.
    """
    if callable(setting):
        return Redactor(hook=_two_arguments(setting))
    if isinstance(setting, bool):
        return Redactor(secrets=setting)
    for name in setting:
        if name not in PERSONAL:
            raise ConfigError(f"redact={name!r} is no pattern; there are {', '.join(PERSONAL)}")
    return Redactor(personal=setting)


def _two_arguments(function: Callable[..., str]) -> Hook:
    """Accept a function of (path, text) or of the text alone."""
    try:
        inspect.signature(function).bind("path", "text")
    except TypeError:
        return lambda _, text: function(text)
    except ValueError:  # a builtin without a signature
        pass
    return function


class Redactor:
    """Scrubs one record after the other."""

    def __init__(
        self, *, secrets: bool = True, personal: Iterable[str] = (), hook: Hook | None = None
    ) -> None:
        self._has_secrets = secrets
        self._personal = tuple(personal)
        self._hook = hook
        self.is_constant = hook is None

    def __call__(self, payload: bytes, is_strict: bool = False) -> bytes:
        """Return the record without secrets; `is_strict` takes out personal data as well."""
        try:
            if self._has_secrets or is_strict:
                payload = scrub_secrets(payload)
            personal = tuple(PERSONAL) if is_strict else self._personal
            if personal or self._hook is not None:
                payload = _rewrite(payload, _changer(personal, self._hook))
            return payload
        except Exception as error:
            report("redacting a record", error)
            return _bare(payload)


# --- secrets: over the bytes


def _automata() -> list[tuple[BytesAhoCorasick, list[int]]]:
    """Automata over all anchors, and which pattern each anchor belongs to."""
    pairs = sorted((text.encode(), n) for n, each in enumerate(SECRETS) for text in each.anchors)
    parts = [pairs[i : i + _MOST_ANCHORS] for i in range(0, len(pairs), _MOST_ANCHORS)]
    return [
        (
            BytesAhoCorasick([anchor for anchor, _ in part], matchkind=MatchKind.LeftmostFirst),
            [n for _, n in part],
        )
        for part in parts
    ]


_REGEXES = [[re.compile(regex.encode()) for regex in each.regexes] for each in SECRETS]
_NAMES = [b"[secret:%b]" % each.name.encode() for each in SECRETS]
_AUTOMATA = _automata()
_Find = Callable[[bytes], list[tuple[int, int, int]]]
_FINDERS: list[tuple[_Find, list[int]]] = [
    (automaton.find_matches_as_indexes, owners) for automaton, owners in _AUTOMATA
]


def let_threads_die() -> None:
    """Search slowly from now on: the interpreter is about to end.

    The automaton lets go of the GIL. A daemon thread that asks for it back after the end is unwound
    by the C library, which no Rust frame survives: the whole program would abort.
    """
    anchors = sorted((text.encode(), n) for n, each in enumerate(SECRETS) for text in each.anchors)
    either = re.compile(b"|".join(b"(%b)" % re.escape(anchor) for anchor, _ in anchors))

    def find(payload: bytes) -> list[tuple[int, int, int]]:
        return [
            ((match.lastindex or 1) - 1, match.start(), match.end())
            for match in either.finditer(payload)
        ]

    _FINDERS[:] = [(find, [n for _, n in anchors])]


def scrub_secrets(payload: bytes) -> bytes:
    """Replace every secret of a known format by its kind."""
    hits: dict[int, list[int]] = {}
    for find, owners in _FINDERS:
        for anchor, start, _ in find(payload):
            hits.setdefault(owners[anchor], []).append(start)
    if not hits:
        return payload
    if len(payload) <= _SMALL_BYTES:
        for number in _with_neighbours(hits):
            payload = _scrub(payload, number)
        return payload
    starts = sorted(start for found in hits.values() for start in found)
    numbers = _with_neighbours(hits)
    pieces, done = [], 0
    for low, high in _windows(starts, len(payload)):
        piece = payload[low:high]
        for number in numbers:
            piece = _scrub(piece, number)
        pieces += [payload[done:low], piece]
        done = high
    return b"".join([*pieces, payload[done:]])


def _with_neighbours(hits: dict[int, list[int]]) -> list[int]:
    """The patterns to try: a hit hides others that begin inside it, so these are tried too."""
    found = {letters for n in hits for letters in SECRETS[n].anchors}
    return [
        n
        for n, each in enumerate(SECRETS)
        if n in hits or any(_overlap(a, b) for a in each.anchors for b in found)
    ]


_overlaps: dict[tuple[str, str], bool] = {}


def _overlap(anchor: str, found: str) -> bool:
    """Whether `anchor` can begin inside an occurrence of `found`."""
    key = (anchor, found)
    if key not in _overlaps:
        _overlaps[key] = any(
            anchor.startswith(found[i : i + len(anchor)]) for i in range(len(found))
        )
    return _overlaps[key]


def _scrub(text: bytes, number: int) -> bytes:
    mark = _NAMES[number]

    def replace(match: re.Match[bytes]) -> bytes:
        return match.group(1) + mark if match.re.groups else mark

    for regex in _REGEXES[number]:
        text = regex.sub(replace, text)
    return text


def _windows(starts: list[int], size: int) -> list[Span]:
    merged: list[Span] = []
    for start in starts:
        low, high = max(0, start - _BEFORE), min(size, start + _AFTER)
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


# --- personal data and the user's own function: over every string


def _changer(personal: tuple[str, ...], hook: Hook | None) -> Hook:
    def change(path: str, text: str) -> str:
        for name in personal:
            text = PERSONAL[name].sub(partial(_mask, name), text)
        if hook is None:
            return text
        try:
            changed = hook(path, text)
        except Exception as error:
            report("calling the redact function", error)
            return FAILED
        return changed if isinstance(changed, str) else FAILED

    return change


def _mask(name: str, match: re.Match[str]) -> str:
    if name == "card" and not is_card(match.group()):
        return match.group()
    return f"[{name}]"


def is_card(text: str) -> bool:
    """Whether the digits pass the check sum of payment cards."""
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = [2 * each - 9 if each > 4 else 2 * each for each in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _rewrite(payload: bytes, change: Hook) -> bytes:
    """Put every string of a record through `change`, also those inside JSON text."""
    element: dict[str, Any] = orjson.loads(payload)
    for record in [*element.get("spans", ()), *element.get("logRecords", ())]:
        if "name" in record:
            record["name"] = change("name", record["name"])
        if "message" in record.get("status", ()):
            record["status"]["message"] = change("status.message", record["status"]["message"])
        _rewrite_attributes(record.get("attributes", ()), change, "")
        for event in record.get("events", ()):
            event["name"] = change("event", event["name"])
            _rewrite_attributes(event.get("attributes", ()), change, "")
        if "body" in record:
            record["body"] = _rewrite_value(record["body"], change, "body")
    return orjson.dumps(element)


def _rewrite_attributes(attributes: Iterable[dict[str, Any]], change: Hook, above: str) -> None:
    for attribute in attributes:
        path = above + attribute["key"]
        attribute["value"] = _rewrite_value(attribute["value"], change, path)


def _rewrite_value(value: dict[str, Any], change: Hook, path: str) -> dict[str, Any]:
    if "stringValue" in value:
        return {"stringValue": _rewrite_text(value["stringValue"], change, path)}
    if "arrayValue" in value:
        items = value["arrayValue"].get("values", [])
        return {"arrayValue": {"values": [_rewrite_value(each, change, path) for each in items]}}
    if "kvlistValue" in value:
        _rewrite_attributes(value["kvlistValue"].get("values", ()), change, path + ".")
    return value


def _rewrite_text(text: str, change: Hook, path: str) -> str:
    if text[:1] in ("{", "[", '"'):
        try:
            inner = orjson.loads(text)
        except ValueError:
            return change(path, text)
        return orjson.dumps(_rewrite_json(inner, change, path)).decode()
    return change(path, text)


def _rewrite_json(value: Any, change: Hook, path: str) -> Any:
    if isinstance(value, str):
        return _rewrite_text(value, change, path) if value[:1] in "{[" else change(path, value)
    if isinstance(value, dict):
        return {
            change(path, key): _rewrite_json(each, change, f"{path}.{key}")
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_rewrite_json(each, change, f"{path}.{n}") for n, each in enumerate(value)]
    if type(value) is int and abs(value) > 99_999:
        changed = change(path, str(value))
        return value if changed == str(value) else changed
    return value


def _bare(payload: bytes) -> bytes:
    """What is left of a record that could not be scrubbed: that it was."""
    element: dict[str, Any] = orjson.loads(payload)
    for record in [*element.get("spans", ()), *element.get("logRecords", ())]:
        kept = [each for each in record.get("attributes", ()) if each["key"] in _KEPT_ON_FAILURE]
        note = {"key": sc.TRUNCATED, "value": {"stringValue": '{"*":0}'}}
        record["attributes"] = [*kept, note]
        record.pop("events", None)
        record.pop("body", None)
        if "name" in record:
            record["name"] = FAILED
        if "message" in record.get("status", ()):
            record["status"]["message"] = FAILED
    return orjson.dumps(element)
