"""What a judgment says, in the narrow form charts and alerts read."""

from typing import Any

from kibitz_collector.normalize import values
from kibitz_collector.records import Judgment, Where

WHERES: frozenset[str] = frozenset(
    ("arrival", "guardrail", "run", "test", "notebook", "human", "feedback", "external")
)
_LONGEST_LABEL = 64
_FREE_TEXT = frozenset(("correction", "comment"))


def find_where(value: Any, default: Where) -> Where:
    """Return where a judgment was made."""
    return value if value in WHERES else default


def fill_value(judgment: Judgment, value: Any, name: str = "") -> None:
    """Set return type and the one matching field from a judgment's value; None abstains."""
    if isinstance(value, bool):
        judgment.return_type, judgment.number = "boolean", float(value)
    elif isinstance(value, (int, float)):
        number = values.number(value)
        judgment.return_type = "number"
        judgment.number = None if number is None else float(number)
    elif isinstance(value, str):
        if name in _FREE_TEXT or len(value) > _LONGEST_LABEL or "\n" in value:
            judgment.return_type, judgment.text = "text", value
        else:
            judgment.return_type, judgment.labels = "select", [value]
    elif isinstance(value, list):
        judgment.return_type = "multi_select"
        judgment.labels = [item if isinstance(item, str) else values.dumps(item) for item in value]
    elif isinstance(value, dict):
        judgment.return_type, judgment.text = "text", values.dumps(value)
