"""Templates and what they may call: values are escaped, numbers and times written one way."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from kibitz_collector.records import Tokens
from kibitz_collector.ui.markdown import to_html

_HERE = Path(__file__).parent
# Scripts and styles only from files of ours; images also inline or by https: messages hold them.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
THEME_COOKIE = "kibitz_theme"
NOTHING = "\u2013"  # how an unknown value is written: a dash, never 0


def page(request: Request, template: str, /, status: int = 200, **values: Any) -> HTMLResponse:
    """Render one page; `section` among the values marks the entry of the navigation."""
    theme = request.cookies.get(THEME_COOKIE, "")
    html = (
        _environment()
        .get_template(template)
        .render(
            theme=theme if theme in ("light", "dark") else "",
            path=request.url.path,
            query=dict(request.query_params),
            now_ns=time.time_ns(),
            **values,
        )
    )
    headers = SECURITY_HEADERS | {"Cache-Control": "no-store"}
    return HTMLResponse(html, status, headers)


def fragment(template: str, /, **values: Any) -> str:
    """Render a piece of a page, for the live list."""
    return _environment().get_template(template).render(now_ns=time.time_ns(), **values)


def duration(ms: float | None) -> str:
    """Write a duration: 0.4 ms, 12 ms, 1.23 s, 2 m 05 s."""
    if ms is None:
        return NOTHING
    if ms < 1:
        return f"{ms:.1f} ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} m {seconds:02d} s"


def money(usd: float | None) -> str:
    """Write a cost; an unknown one is a dash, never 0."""
    if usd is None:
        return NOTHING
    if usd == 0:
        return "$0"
    return (
        f"${usd:.2f}" if usd >= 1 else f"${usd:.6f}".rstrip("0") if usd >= 1e-6 else f"${usd:.1e}"
    )


def count(number: float | None) -> str:
    """Write a count with thin groups: 1 234."""
    return NOTHING if number is None else f"{number:,.0f}".replace(",", "\u202f")


def percent(share: float | None) -> str:
    """Write a share of one."""
    return (
        NOTHING if share is None else f"{share * 100:.0f} %" if share in (0, 1) else f"{share:.1%}"
    )


def tokens_total(tokens: Tokens) -> int | None:
    """Add the five disjoint counts; None when nothing is known."""
    known = [
        number
        for number in (
            tokens.input_uncached,
            tokens.cache_read,
            tokens.cache_write,
            tokens.output,
            tokens.reasoning,
        )
        if number is not None
    ]
    return sum(known) if known else None


def ago(then_ns: int, now_ns: int) -> str:
    """Write how long ago: 5 s, 12 min, 3 h, 2 d."""
    seconds = max(0, (now_ns - then_ns) // 1_000_000_000)
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // 86_400} d"


def clock(ns: int | None) -> str:
    """Write an instant in UTC, to the second."""
    return NOTHING if ns is None else _utc(ns).replace(tzinfo=None).isoformat(" ", "seconds")


def iso(ns: int) -> str:
    """Write an instant for `<time datetime>`: the browser shows it in its own zone."""
    return _utc(ns).isoformat(timespec="milliseconds")


def only_text(inputs: dict[str, Any] | None) -> str | None:
    """Return the text of inputs that are one text, such as a question; else None."""
    if inputs is None or len(inputs) != 1:
        return None
    (value,) = inputs.values()
    return value if isinstance(value, str) else None


def pretty(value: Any) -> str:
    """Write any stored value as indented JSON; text stays as it is."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _utc(ns: int) -> datetime:
    # Client clocks lie; what datetime cannot hold is shown as its nearest end.
    seconds = min(max(ns / 1e9, -62_135_596_800), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC)


def _link(path: str, **parameters: Any) -> str:
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "clock": clock,
        "count": count,
        "duration": duration,
        "iso": iso,
        "markdown": to_html,
        "money": money,
        "only_text": only_text,
        "percent": percent,
        "pretty": pretty,
        "tokens_total": tokens_total,
    }
    environment.globals["link"] = _link
    return environment
