"""Settings of the SDK: one frozen object per process, from `init()` and KIBITZ_* variables.

A stdlib dataclass, because importing pydantic would take longer than all of `init()`.
"""

# ruff: noqa: RUF009 -- `_setting` is `dataclasses.field` with a check and a description

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from kibitz.errors import ConfigError

Capture = Literal["full", "redacted", "metadata", "off"]
Durability = Literal["process", "machine", "memory"]

CAPTURES = ("full", "redacted", "metadata", "off")
DURABILITIES = ("process", "machine", "memory")
OTEL_MODES = ("auto", "join", "apart")

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off", ""}


def _setting(default: Any, check: Callable[[str, Any], Any], unit: str, text: str) -> Any:
    return field(default=default, metadata={"check": check, "unit": unit, "description": text})


def _text(name: str, value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name}={value!r} must be a text that is not empty")
    return value.strip()


def _optional_text(name: str, value: Any) -> str | None:
    return None if value is None or value == "" else _text(name, value)


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _YES | _NO:
        return value.strip().lower() in _YES
    raise ConfigError(f"{name}={value!r} must be True or False")


def _number(low: float, high: float) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not low <= number <= high:
            raise ConfigError(f"{name}={value!r} must be a number from {low:g} to {high:g}")
        return number

    return check


def _count(low: int, high: int) -> Callable[[str, Any], int]:
    within = _number(low, high)

    def check(name: str, value: Any) -> int:
        number = within(name, value)
        if not number.is_integer():
            raise ConfigError(f"{name}={value!r} must be a whole number from {low} to {high}")
        return int(number)

    return check


def _choice(*allowed: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise ConfigError(f"{name}={value!r} must be one of {', '.join(allowed)}")
        return cast("str", value)

    return check


def _collector(name: str, value: Any) -> str:
    url = _text(name, value)
    if url.startswith("sqlite:"):
        file = url.removeprefix("sqlite:///")
        if file in (url, "", ":memory:") or file.endswith("/"):
            raise ConfigError(f"{name}={value!r} must name a file: sqlite:///FILE")
        return url
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_sound = is_sound and (parts.port is None or parts.port > 0)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ConfigError(f"{name}={value!r} must be a URL such as http://127.0.0.1:4318")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{name} must be a bare URL; give the key as api_key=, not inside it")
    return url.rstrip("/").removesuffix("/v1/traces").rstrip("/")


def _api_key(name: str, value: Any) -> str | None:
    key = _optional_text(name, value)
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{name} must be plain ASCII without spaces (was it cut or quoted?)")
    return key


def _capture(name: str, value: Any) -> Capture | dict[str, Capture]:
    if isinstance(value, Mapping):
        return {
            _text(name, path): _one_capture(f"{name}[{path!r}]", mode)
            for path, mode in value.items()
        }
    return _one_capture(name, value)


def _one_capture(name: str, value: Any) -> Capture:
    return cast("Capture", _choice(*CAPTURES)(name, value))


def _redact(name: str, value: Any) -> bool | tuple[str, ...] | Callable[[str], str]:
    if callable(value):
        return cast("Callable[[str], str]", value)
    if isinstance(value, str) and value.strip().lower() not in _YES | _NO:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (bool, str)):
        return _flag(name, value)
    if isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ConfigError(
        f"{name}={value!r} must be True, False, names of extra patterns, or a function of a text"
    )


def _provider(name: str, value: Any) -> Any:
    if value is not None and not hasattr(value, "get_tracer"):
        raise ConfigError(f"{name}={value!r} must be an OpenTelemetry TracerProvider")
    return value


def _default_service() -> str:
    name = Path(sys.argv[0] if sys.argv else "").stem
    return name if name not in ("", "-c", "-m", "__main__") else "unknown_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How kibitz works in this process."""

    collector: str = _setting(
        "http://127.0.0.1:4318", _collector, "URL", "where records are sent (OTLP/HTTP JSON)"
    )
    api_key: str | None = _setting(None, _api_key, "", "key of the collector, if it asks for one")
    service: str = _setting(
        "", _text, "", "service.name; else OTEL_SERVICE_NAME or the script's name"
    )
    environment: str | None = _setting(
        None, _optional_text, "", "deployment.environment.name, such as production"
    )
    capture: Capture | dict[str, Capture] = _setting(
        "full",
        _capture,
        "full|redacted|metadata|off",
        "what of inputs and outputs is kept, also per path",
    )
    redact: bool | tuple[str, ...] | Callable[[str], str] = _setting(
        True,
        _redact,
        "",
        "built-in secret patterns, names of more (email, phone, card), or a function",
    )
    sample_rate: float = _setting(1.0, _number(0, 1), "0 to 1", "share of traces that is recorded")
    spool_dir: str | None = _setting(
        None, _optional_text, "folder", "where records wait; else under the XDG state directory"
    )
    durability: Durability = _setting(
        "process",
        _choice(*DURABILITIES),
        "process|machine|memory",
        "what a record survives: the process being killed, a power cut, or nothing",
    )
    otel: Literal["auto", "join", "apart"] = _setting(
        "auto",
        _choice(*OTEL_MODES),
        "auto|join|apart",
        "whether our spans are OpenTelemetry's current span: if the host has no SDK, always, never",
    )
    otel_provider: Any = _setting(
        None, _provider, "TracerProvider", "a provider of yours whose spans are recorded too"
    )
    exit_timeout_s: float = _setting(
        2.0,
        _number(0, 3600),
        "s",
        "how long the exit waits for sending; 0 leaves it to the next process",
    )
    enabled: bool = _setting(True, _flag, "", "False: record nothing at all")
    patch_threads: bool = _setting(
        True, _flag, "", "whether threads and executors of the app keep the parent of their starter"
    )

    spool_max_bytes: int = _setting(
        512 * 2**20, _count(2**20, 2**50), "bytes", "disk the spool of one collector may take"
    )
    spool_max_age_s: float = _setting(
        24 * 3600.0, _number(60, 10**9), "s", "records that waited longer are given up"
    )
    segment_bytes: int = _setting(
        16 * 2**20, _count(2**17, 2**30), "bytes", "largest spool file; the first ones are smaller"
    )
    ring_records: int = _setting(
        10_000, _count(1, 10**7), "records", "kept in memory while the disk cannot be used"
    )
    request_timeout_s: float = _setting(
        10.0, _number(0.01, 600), "s", "how long one request to the collector may take"
    )


def load(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    """Settings from arguments (None: not given), else KIBITZ_* variables, else defaults.

    Raises: ConfigError: a name is unknown or a value is not allowed.
    """
    environ = os.environ if environ is None else environ
    known = {item.name: item for item in fields(Settings)}
    for name in arguments:
        if name not in known:
            raise ConfigError(f"init() has no argument {name!r}; it knows {', '.join(known)}")
    values = {
        name: value
        for name, item in known.items()
        if (value := _value(item, arguments.get(name), environ)) is not MISSING
    }
    if "service" not in values:
        values["service"] = environ.get("OTEL_SERVICE_NAME", "").strip() or _default_service()
    return Settings(**values)


def _value(item: Field[Any], argument: Any, environ: Mapping[str, str]) -> Any:
    check = item.metadata["check"]
    if argument is not None:
        return check(item.name, argument)
    variable = f"KIBITZ_{item.name.upper()}"
    text = environ.get(variable, "")
    return check(variable, text) if text.strip() else MISSING


def describe() -> list[tuple[str, str, str, str, str]]:
    """Name, variable, default, unit and description of every setting, for help and docs."""
    return [
        (
            item.name,
            f"KIBITZ_{item.name.upper()}",
            "" if item.default in (None, "") else str(item.default),
            item.metadata["unit"],
            item.metadata["description"],
        )
        for item in fields(Settings)
    ]
