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

from kibitz import semconv as sc
from kibitz._guard import report
from kibitz._patterns import PERSONAL
from kibitz._secrets import scrub_secrets
from kibitz.errors import ConfigError

FAILED = "[redaction failed]"

Hook = Callable[[str, str], str]

_KEPT_ON_FAILURE = frozenset(
    {sc.FILE_PATH, sc.FILE_TYPE, sc.RECORD, sc.OPERATION, sc.JUDGED_LOG_ID, sc.JUDGMENT_ID}
)


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
        self._is_simple = secrets and self.is_constant and not self._personal

    def __call__(self, payload: bytes, is_strict: bool = False) -> bytes:
        """Return the record without secrets; `is_strict` takes out personal data as well."""
        try:
            if self._is_simple and not is_strict:
                return scrub_secrets(payload)
            if self._has_secrets or is_strict:
                payload = scrub_secrets(payload)
            personal = tuple(PERSONAL) if is_strict else self._personal
            if personal or self._hook is not None:
                payload = _rewrite(payload, _changer(personal, self._hook))
            return payload
        except Exception as error:
            report("redacting a record", error)
            return _bare(payload)


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
