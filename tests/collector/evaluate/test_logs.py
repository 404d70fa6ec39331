"""What an evaluator receives."""

from kibitz_collector.evaluate.logs import (
    MAX_TREE_DEPTH,
    MAX_TREE_LOGS,
    evaluator_log,
    evaluator_tree,
)
from kibitz_collector.records import LogBody, LogDetail, LogError, LogSummary, Tokens


def detail(log_id: str, parent: str | None = None, **fields: object) -> LogDetail:
    body = fields.pop("body", None) or LogBody()
    values: dict[str, object] = {
        "id": log_id,
        "seq": 1,
        "kind": "prompt",
        "name": "reply",
        "trace_id": "a" * 32,
        "span_id": None,
        "trace_parent_id": parent,
        "parent_id": None,
        "session_id": "chat-1",
        "file_id": "pr_1",
        "file_path": "support/reply",
        "version_id": "prv_1",
        "environment": "production",
        "service": "shop",
        "source": "sdk",
        "user": "u1",
        "start_ns": 1_790_000_000_250_000_000,
        "end_ns": 1_790_000_001_750_000_000,
        "duration_ms": 1500.0,
        "status": "complete",
        "error_type": None,
        "provider": "openai",
        "model": "gpt-4o",
        "model_served": "gpt-4o-2026",
        "tokens": Tokens(input_uncached=100, cache_read=20, output=30, reasoning=5),
        "cost_usd": 0.01,
        "cost_reported_usd": None,
        "time_to_first_token_ms": None,
        "finish_reason": "stop",
        "response_id": None,
        "flags": [],
        "keep_probability": 1.0,
        "received_ns": 1_790_000_002_000_000_000,
    }
    assert isinstance(body, LogBody)
    summary = LogSummary(**{**values, **fields})  # type: ignore[arg-type]  # checked by what follows
    return LogDetail(summary=summary, body=body)


def test_log_has_the_keys_of_the_contract() -> None:
    body = LogBody(
        inputs={"q": "?"},
        output="yes",
        output_message={"role": "assistant", "content": "yes"},
        messages=[{"role": "user", "content": "?"}],
        parameters={"temperature": 0.2},
        metadata={"plan": "pro"},
        error=LogError(type="Timeout", message="late"),
    )
    assert evaluator_log(detail("log_a", body=body, error_type="Timeout", status="error")) == {
        "id": "log_a",
        "kind": "prompt",
        "name": "reply",
        "path": "support/reply",
        "inputs": {"q": "?"},
        "output": "yes",
        "output_message": {"role": "assistant", "content": "yes"},
        "messages": [{"role": "user", "content": "?"}],
        "tools": [],
        "error": "Timeout: late",
        "error_type": "Timeout",
        "log_status": "complete",
        "model": "gpt-4o",
        "provider": "openai",
        "prompt": {
            "temperature": 0.2,
            "id": "pr_1",
            "version_id": "prv_1",
            "path": "support/reply",
            "model": "gpt-4o",
            "provider": "openai",
        },
        "metadata": {"plan": "pro"},
        "tags": [],
        "user": "u1",
        "session_id": "chat-1",
        "environment": "production",
        "source": "sdk",
        "trace_id": "a" * 32,
        "trace_parent_id": None,
        "start_time": "2026-09-21T14:13:20.250000+00:00",
        "end_time": "2026-09-21T14:13:21.750000+00:00",
        "created_at": "2026-09-21T14:13:22+00:00",
        "provider_latency": 1.5,
        "prompt_tokens": 120,
        "output_tokens": 35,
        "reasoning_tokens": 5,
        "cost": 0.01,
        "finish_reason": "stop",
        "stdout": None,
        "children": [],
    }


def test_unknown_is_none_and_not_zero() -> None:
    log = evaluator_log(detail("log_a", tokens=Tokens(), cost_usd=None, end_ns=None))
    assert (log["prompt_tokens"], log["output_tokens"], log["cost"]) == (None, None, None)
    assert log["end_time"] is None
    assert evaluator_log(detail("a", cost_usd=None, cost_reported_usd=0.0))["cost"] == 0.0


def test_tree_nests_children_by_start() -> None:
    tree = evaluator_tree(
        "log_a",
        [
            detail("log_c", "log_a", start_ns=20),
            detail("log_b", "log_a", start_ns=10),
            detail("log_d", "log_b"),
            detail("log_a"),
            detail("log_orphan", "log_gone"),
        ],
    )
    assert tree is not None
    assert [child["id"] for child in tree["children"]] == ["log_b", "log_c"]
    assert [child["id"] for child in tree["children"][0]["children"]] == ["log_d"]


def test_tree_of_a_log_inside_a_trace_starts_there() -> None:
    tree = evaluator_tree(
        "log_b", [detail("log_a"), detail("log_b", "log_a"), detail("c", "log_b")]
    )
    assert tree is not None
    assert (tree["id"], [child["id"] for child in tree["children"]]) == ("log_b", ["c"])
    assert evaluator_tree("log_x", [detail("log_a")]) is None


def test_circles_end() -> None:
    tree = evaluator_tree("log_a", [detail("log_a", "log_b"), detail("log_b", "log_a")])
    assert tree is not None
    assert [child["id"] for child in tree["children"]] == ["log_b"]
    assert tree["children"][0]["children"] == []


def test_deep_trees_are_flattened_and_wide_ones_cut() -> None:
    chain = [detail("log_0")] + [detail(f"log_{n}", f"log_{n - 1}") for n in range(1, 200)]
    depth, found, level = 0, 0, [evaluator_tree("log_0", chain)]
    while level:
        depth += 1
        found += len(level)
        level = [child for log in level if log for child in log["children"]]
    assert (depth, found) == (MAX_TREE_DEPTH + 1, 200)
    wide = [detail("log_0")] + [detail(f"log_{n}", "log_0") for n in range(1, 3000)]
    tree = evaluator_tree("log_0", wide)
    assert tree is not None
    assert len(tree["children"]) == MAX_TREE_LOGS
