"""What the demo promises, checked through the public API; a check says what is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from kibitz_collector.demo.webhook_receiver import Received

_FLOWS_A_ROUND = 6
_ROUNDS = 5
_TROUBLE = 1
FLOWS = _FLOWS_A_ROUND * _ROUNDS + _TROUBLE


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the story left behind."""

    client: httpx.Client
    good: dict[str, int]
    bad: dict[str, int]
    received: list[Received]

    def logs(self, q: str) -> list[dict[str, Any]]:
        """Return the Logs that match a filter (at most 500)."""
        answer = self.client.get("/api/logs", params={"q": q, "limit": 500}).raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def get(self, path: str) -> Any:
        """GET any part of the API."""
        return self.client.get(path).raise_for_status().json()


def nothing_lost(evidence: Evidence) -> str | None:
    """Every call of the app is stored."""
    flows = len(evidence.logs("kind:flow file:support/answer"))
    dropped = evidence.good["dropped"] + evidence.bad["dropped"]
    return (
        None if flows == FLOWS and dropped == 0 else f"{flows} of {FLOWS} flows, {dropped} dropped"
    )


def traces_nest(evidence: Evidence) -> str | None:
    """A trace nests tool and model calls under their flow."""
    for flow in evidence.logs("kind:flow status:complete"):
        logs = evidence.get(f"/api/traces/{flow['trace_id']}")["logs"]
        calls = [log for log in logs if log["parent_id"] is None and log["id"] != flow["id"]]
        kinds = {log["kind"] for log in calls}
        if kinds == {"prompt", "tool"}:
            strays = [log["id"] for log in calls if log["trace_parent_id"] != flow["id"]]
            return f"{strays} do not hang under their flow" if strays else None
    return "no trace holds a flow, a prompt and a tool"


def sessions_group(evidence: Evidence) -> str | None:
    """Two sessions with their users."""
    found = {(one["id"], one["user"]) for one in evidence.get("/api/sessions")["items"]}
    wanted = {("chat-ana", "ana"), ("chat-ben", "ben")}
    return None if wanted <= found else f"found {sorted(map(str, found))}"


def model_calls_are_whole(evidence: Evidence) -> str | None:
    """Model calls carry messages, model, tokens and cost; streamed ones the first token's time."""
    calls = evidence.logs("kind:prompt file:support/reply status:complete")
    if not calls:
        return "no model call of support/reply"
    if not any(call["time_to_first_token_ms"] is not None for call in calls):
        return "no streamed call knows when its first token came"
    for call in calls:
        body = evidence.get(f"/api/logs/{call['id']}")["body"]
        if not (body["messages"] and body["output_message"] and body["inputs"]):
            return f"{call['id']} has no messages, output or inputs"
        if not (call["model"] and call["tokens"]["input_uncached"] and call["tokens"]["output"]):
            return f"{call['id']} has no model or tokens"
        if call["model"].startswith("gpt-4o") and not call["cost_usd"]:
            return f"{call['id']} has no cost"
    return None


def errors_are_kept(evidence: Evidence) -> str | None:
    """Failed calls are Logs with their error."""
    tools = {log["error_type"] for log in evidence.logs("kind:tool status:error")}
    calls = evidence.logs("kind:prompt status:error")
    if "KeyError" not in tools:
        return f"the order that does not exist left {tools or 'no error'}"
    return None if calls else "the overloaded model left no error"


def versions_differ(evidence: Evidence) -> str | None:
    """The new prompt is a new Version of the same File."""
    calls = evidence.logs("kind:prompt file:support/reply")
    versions = {call["version_id"] for call in calls}
    files = {call["file_id"] for call in calls}
    if len(versions) == 2 and len(files) == 1:
        return None
    return f"{len(versions)} versions of {len(files)} files"


def judged_on_arrival(evidence: Evidence) -> str | None:
    """Each finished answer was judged as it arrived."""
    for flow in evidence.logs("kind:flow file:support/answer"):
        verdicts = [
            judgment["value"]
            for judgment in flow["judgments"]
            if judgment["evaluator_path"] == "support/is_polite" and judgment["where"] == "arrival"
        ]
        if len(verdicts) != 1 or (flow["status"] == "complete" and verdicts[0] is None):
            return f"{flow['id']} has {verdicts or 'no judgment'}"
    return None


def quality_dropped(evidence: Evidence) -> str | None:
    """The curt version fails where the friendly one passed."""
    polite = len(evidence.logs("file:support/answer judgment.support/is_polite:true"))
    curt = len(evidence.logs("file:support/answer judgment.support/is_polite:false"))
    return None if polite and curt else f"{polite} polite, {curt} curt"


def text_is_found(evidence: Evidence) -> str | None:
    """Words of an answer are found by search."""
    return None if evidence.logs("kind:flow refunds") else "no Log is found by the word 'refunds'"


def alert_fired_once(evidence: Evidence) -> str | None:
    """One firing, told once by a signed webhook."""
    firings = evidence.get("/api/firings")["items"]
    told = [one for one in evidence.received if one.is_signed]
    if len(firings) != 1:
        return f"{len(firings)} firings"
    return None if len(told) == len(evidence.received) == 1 else f"{len(told)} signed webhooks"


CHECKS: list[Callable[[Evidence], str | None]] = [
    nothing_lost,
    traces_nest,
    sessions_group,
    model_calls_are_whole,
    errors_are_kept,
    versions_differ,
    judged_on_arrival,
    quality_dropped,
    text_is_found,
    alert_fired_once,
]
