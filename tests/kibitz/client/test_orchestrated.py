"""evaluate of what the collector calls: its model answers, evaluators judge here and there."""

from typing import Any

import pytest

import kibitz
from kibitz import ConfigError, KibitzError
from tests.e2e.conftest import Served
from tests.integrations.wire.server import WireServer
from tests.kibitz.client.conftest import said, upsert
from tests.kibitz.client.test_calls import SAY, collector, model

__all__ = ["collector", "model"]

CODE = "def polite(log):\n    return 'hi' in log['output']\n"


def is_right(log: dict[str, Any], target: dict[str, Any]) -> bool:
    return bool(log["output"] == f"you said {target['value']}")


def test_a_prompt_is_evaluated_by_its_path(app: Served, model: WireServer) -> None:
    made = upsert(app, "prompts", path="support/say", **SAY)
    spec = {
        "evaluator_type": "python",
        "arguments_type": "target_free",
        "return_type": "boolean",
        "code": CODE,
    }
    upsert(app, "evaluators", path="polite", spec=spec)
    words = ["hi", "hi you", "fail 400", "no"]
    result = kibitz.evaluate(
        "support/say",
        dataset=[{"inputs": {"word": word}, "target": {"value": word}} for word in words],
        evaluators=[is_right, "polite"],
        checks={"is_right": 0.7, "errors": "<= 0.25"},
        show=False,
    )
    assert [row.inputs["word"] for row in result.rows] == words
    assert result.rows[1].output == "you said hi you"
    assert "tired" in (result.rows[2].error or "")
    assert result.score("is_right") == 0.75
    assert result.score("polite") == 0.5
    with app.client() as client:
        stats = said(client.get(f"/v5/evaluations/{result.evaluation_id}/stats"))
    (run,) = stats["run_stats"]
    assert (run["status"], run["version_id"]) == ("completed", made["version_id"])


def test_what_the_collector_cannot_call_is_refused(app: Served) -> None:
    upsert(app, "flows", path="f", attributes={})
    data = [{"inputs": {"word": "hi"}}]
    with pytest.raises(KibitzError, match="give evaluate\\(\\) the function instead"):
        kibitz.evaluate("f", dataset=data, evaluators=[], show=False)

    def untold(log):  # type: ignore[no-untyped-def]
        return True

    with pytest.raises(ConfigError, match="must say what it returns"):
        kibitz.evaluate("f", dataset=data, evaluators=[untold], show=False)
