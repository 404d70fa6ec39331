"""Reads the verdict of an LLM judge: rationale first, the bare verdict on the last line.

Judges decorate what they were asked to say bare: bold, quotes, "Verdict:", a full stop, a JSON
object. All that is looked through; what still is no value of the return type is an error.
"""

import json
import re
from typing import Any

from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.records import ReturnType

_TRUE, _FALSE = {"true", "yes"}, {"false", "no"}
_NULL = {"null", "none", "n/a"}
_LABEL = re.compile(
    r"(?:(?:the|my|final|overall)\s+)*(?:verdict|answer|judge?ment|result|score|rating|label)"
    r"\s*(?:\bis\b\s*[:=]?|[:=])\s*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_OF = re.compile(r"(\S+?)\s*(?:/|\bout of\b)\s*(\S+)")
_KEYS = ("judgment", "judgement", "verdict", "result", "answer", "score", "rating", "label")
_DECORATION = " \t*_`\"'\u201c\u201d\u2018\u2019#>"
_BULLET = re.compile(r"^\s*[-\u2022]\s+")
_SHOWN = 200
_MISSING = object()


class Unparsable(Exception):
    """The judge's text ends in no verdict; the message says what was wanted and what came."""


def parse_verdict(text: str, spec: EvaluatorSpec) -> Any:
    """Return the verdict at the end of a judge's text; None: it abstains.

    Raises: Unparsable.
    """
    said = _from_object(text)
    line = last_line(text)
    if said is _MISSING:
        said = line
    value = _from_text(said, spec) if isinstance(said, str) else _from_json(said, spec)
    if value is _MISSING:
        shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
        raise Unparsable(
            f"the judge's last line is not {wanted(spec)}: {shown!r}; its whole text is the output"
        )
    return value


def last_line(text: str) -> str:
    """Return the last line that says something; the end of a code block does not."""
    for line in reversed(text.splitlines()):
        if line.strip() and not line.strip().startswith("```"):
            return line.strip()
    return ""


def wanted(spec: EvaluatorSpec) -> str:
    """Say what a verdict of this return type looks like."""
    names = ", ".join(spec.option_names)
    match spec.return_type:
        case "boolean":
            return "true or false"
        case "number":
            return "a number"
        case "select":
            return f"one of {names}" if names else "a choice"
        case "multi_select":
            return f"a list out of {names}" if names else "a list of choices"
        case "text":
            return "a text"


def _from_object(text: str) -> Any:
    """Return the verdict of a text, or last line, that is one JSON object."""
    fenced = re.fullmatch(r"```\w*\n(.*)\n```", text.strip(), re.DOTALL)
    for whole in (fenced[1] if fenced else text, last_line(text)):
        if whole.lstrip().startswith("{"):
            try:
                found = json.loads(whole)
            except ValueError:
                continue
            for key in _KEYS:
                if key in found:
                    return found[key]
    return _MISSING


def _from_json(said: Any, spec: EvaluatorSpec) -> Any:
    """Take a value that a JSON object held; its type is checked with all others."""
    if said is None or (spec.return_type == "multi_select" and isinstance(said, list)):
        return said
    if isinstance(said, bool):
        return said if spec.return_type == "boolean" else _MISSING
    if isinstance(said, int | float):
        return said if spec.return_type == "number" else _from_text(str(said), spec)
    return _MISSING


def _from_text(said: str, spec: EvaluatorSpec) -> Any:
    if spec.return_type == "text":
        return said or _MISSING
    for bare in (_bare(said), _bare(_LABEL.sub("", _bare(said), count=1))):
        value = _READERS[spec.return_type](bare, spec)
        if value is not _MISSING:
            return value
    return None if _bare(_LABEL.sub("", _bare(said), count=1)).casefold() in _NULL else _MISSING


def _bare(line: str) -> str:
    return _BULLET.sub("", line).strip(_DECORATION).rstrip(".!").strip(_DECORATION)


def _boolean(bare: str, _spec: EvaluatorSpec) -> Any:
    word = bare.casefold()
    return word in _TRUE if word in _TRUE | _FALSE else _MISSING


def _number(bare: str, spec: EvaluatorSpec) -> Any:
    part = _OF.fullmatch(bare)  # "4/5", when five is what there is to get
    if part is not None and spec.limits.max is not None and _NUMBER.fullmatch(part[2]):
        if float(part[2]) != spec.limits.max:
            return _MISSING
        bare = part[1]
    if not _NUMBER.fullmatch(bare):
        return _MISSING
    value = float(bare)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _select(bare: str, spec: EvaluatorSpec) -> Any:
    names = spec.option_names
    if not names:
        return bare or _MISSING
    return _option(bare, names)


def _multi_select(bare: str, spec: EvaluatorSpec) -> Any:
    names = spec.option_names
    if bare.startswith("["):
        try:
            parts = json.loads(bare)
        except ValueError:
            parts = bare.strip("[]").split(",")
    else:
        whole = _option(bare, names)  # an option may have a comma in its name
        if whole is not _MISSING:
            return [whole]
        parts = re.split(r"[,;]", bare)
    chosen = [_bare(str(part)) for part in parts if _bare(str(part))]
    if not names:
        return chosen or _MISSING
    if chosen and [one.casefold() for one in chosen] == ["none"]:
        return []
    found = [_option(one, names) for one in chosen]
    if _MISSING in found or (not found and not bare.startswith("[")):
        return _MISSING
    return found


def _option(bare: str, names: list[str]) -> Any:
    if bare in names:
        return bare
    alike = [name for name in names if name.casefold() == bare.casefold()]
    return alike[0] if len(alike) == 1 else _MISSING


_READERS: dict[ReturnType, Any] = {
    "boolean": _boolean,
    "number": _number,
    "select": _select,
    "multi_select": _multi_select,
}
