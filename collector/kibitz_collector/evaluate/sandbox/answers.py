"""Reads what came out of a sandbox: every byte of it may be the evaluator's own work."""

from typing import Any

import orjson

from kibitz_collector.evaluate.sandbox.verdicts import Limits, VerdictError

_MAX_LINE = 2**31


class BadAnswer(ValueError):
    """Not what the sandbox program itself would write."""


def parse(data: bytes | str, limits: Limits) -> dict[str, Any]:
    """Read one answer.

    Raises: BadAnswer: too large, not a JSON object (NaN and lone surrogates are not), too deep.
    """
    if len(data) > limits.answer_bytes:
        raise BadAnswer(f"an answer of {len(data)} bytes")
    try:
        answer = orjson.loads(data)
    except ValueError:
        raise BadAnswer("an answer that is not JSON") from None
    if not isinstance(answer, dict):
        raise BadAnswer("an answer that is not an object")
    if depth_of(answer, limits.answer_depth) > limits.answer_depth:
        raise BadAnswer(f"an answer nested deeper than {limits.answer_depth}")
    cleaned: dict[str, Any] = _without_nul(answer)
    return cleaned


def error_of(answer: dict[str, Any]) -> VerdictError | None:
    """Return the error an answer tells of.

    Raises: BadAnswer.
    """
    error = answer.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        raise BadAnswer("an answer whose error is not an object")
    line = error.get("line")
    return VerdictError(
        type=text_of(error.get("type"))[:200] or "Error",
        message=text_of(error.get("message"))[:2000],
        line=line if isinstance(line, int) and 0 < line < _MAX_LINE else None,
    )


def is_refused(answer: dict[str, Any]) -> bool:
    """Tell whether the evaluator failed on the sandbox's walls."""
    error = answer.get("error")
    return isinstance(error, dict) and error.get("refused") is True


def text_of(value: Any) -> str:
    """Return a text, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def depth_of(value: Any, limit: int) -> int:
    """Return how deep lists and objects nest, never looking deeper than `limit` + 1."""
    depth, level = 0, [value]
    while depth <= limit:
        inner = [v for v in level if isinstance(v, dict | list)]
        if not inner:
            break
        depth += 1
        level = [x for v in inner for x in (v.values() if isinstance(v, dict) else v)]
    return depth


def _without_nul(value: Any) -> Any:
    """Replace NUL in every text: PostgreSQL refuses it."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value
