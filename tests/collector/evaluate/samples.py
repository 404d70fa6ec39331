"""Logs and evaluators for the tests of evaluation."""

from typing import Any

from kibitz_collector.records import FileReference, FileRegistration, Kind, LogBody, LogRecord
from kibitz_collector.store import Store

WORKSPACE = 1
START_NS = 1_790_000_000_000_000_000
GOOD = "def evaluator(log):\n    return log['output'] == 'fine'\n"


def log_record(
    log_id: str,
    *,
    kind: Kind = "prompt",
    path: str = "support/reply",
    output: Any = "fine",
    trace: str = "a" * 32,
    parent: str | None = None,
    **more: Any,
) -> LogRecord:
    """Return one complete Log."""
    body = more.pop("body", None) or LogBody(inputs={"question": "?"}, output=output)
    file_kind: Any = kind if kind in ("prompt", "tool", "flow", "agent", "evaluator") else None
    end_ns = more.pop("end_ns", START_NS + 5_000_000)
    return LogRecord(
        id=log_id,
        kind=kind,
        name=path.rpartition("/")[2],
        start_ns=START_NS,
        end_ns=end_ns,
        trace_id=trace,
        trace_parent_id=parent,
        file=FileReference(kind=file_kind, path=path, content={"v": 1}) if file_kind else None,
        body=body,
        **more,
    )


def register(
    store: Store, path: str = "checks/good", *, code: str = GOOD, **content: Any
) -> tuple[str, str]:
    """Register a code evaluator as the SDK does; returns (file id, version id)."""
    whole = {"evaluator_type": "code", "code": code, "return_type": "boolean", **content}
    return store.register_file(
        WORKSPACE, FileRegistration(kind="evaluator", path=path, content=whole)
    )
