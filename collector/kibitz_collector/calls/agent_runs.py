"""The Log of an Agent: opened at its start, taken up when it goes on, closed at its end.

It holds the conversation, so a suspended Agent is continued from its Log by any process.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kibitz_collector.access.connections import Keys
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target
from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.providers import ProviderError
from kibitz_collector.records import Json, LogBody, LogDetail, LogRecord, Message
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes.updates import LogPatch, update_log

SUMS = ("prompt_tokens", "reasoning_tokens", "output_tokens", "prompt_cost", "output_cost")
# A process that dies while its Agent goes on holds it this long.
_CLAIM_S = 600


@dataclass(slots=True, kw_only=True)
class AgentRun:
    """An Agent under way. `messages` is the conversation without the template."""

    target: Target
    log_id: str
    messages: list[Message]
    inputs: Json = field(default_factory=dict)
    tool_choice: str | Json | None = None  # of the first turn
    keys: Keys | None = field(default=None, repr=False)
    labels: Labels = field(default_factory=Labels)
    filled: str | list[Message] | None = None  # the template, once for all turns
    above: tuple[str, ...] = ()  # ids of the Agents that this one is called by
    turns: int = 0
    sums: Json = field(default_factory=dict)
    finish_reason: str | None = None
    is_suspended: bool = False
    error: ProviderError | None = None

    @property
    def last_reply(self) -> Message | None:
        """Return what the model said last."""
        said = [one for one in self.messages if one.get("role") == "assistant"]
        return said[-1] if said else None


def open_log(caller: Context, run: AgentRun) -> None:
    """Open the Log of an Agent.

    Raises: Invalid: it could not be stored.
    """
    (outcome,) = caller.store.ingest(caller.workspace_id, [_open_record(run)])
    if outcome.error is not None:
        raise Invalid(f"the Log could not be stored: {outcome.error}")


def resume_agent(
    caller: Context, log_id: str, messages: Sequence[Message], keys: Keys | None
) -> AgentRun:
    """Take up a suspended Agent with the results of the calls it waits for.

    Raises: NotFound. Conflict: it does not wait, or goes on already. Invalid: a result is missing.
    """
    # One transaction: of two who bring the result, one goes on.
    with caller.store.write() as session:
        detail = log_queries.get_log(session, caller.workspace_id, log_id)
        conversation = _conversation(detail, messages)
        summary = detail.summary
        version = file_queries.get_version(session, caller.workspace_id, summary.version_id or "")
        claim = LogPatch(api_fields={"claimed_ns": time.time_ns()})
        update_log(session, caller.workspace_id, log_id, claim, match_monitors=False)
    told = detail.body.api_fields or {}
    return AgentRun(
        target=Target(
            kind="agent",
            file_id=version.file_id,
            path=summary.file_path or "",
            version_id=version.id,
            content=version.content,
        ),
        log_id=log_id,
        messages=conversation,
        inputs=detail.body.inputs or {},
        keys=keys,
        labels=Labels(environment=summary.environment, user=summary.user),
        turns=int(told.get("turns") or 0),
        sums={name: told[name] for name in SUMS if name in told},
    )


def _conversation(detail: LogDetail, given: Sequence[Message]) -> list[Message]:
    """Return the conversation with what the caller adds.

    Raises: Conflict, Invalid.
    """
    summary, log_id = detail.summary, detail.summary.id
    if summary.kind != "agent":
        raise Invalid(f"Log {log_id!r} is not an Agent's")
    if summary.status != "incomplete":
        raise Conflict(f"Log {log_id!r} is {summary.status}; only an incomplete one goes on")
    claimed_ns = (detail.body.api_fields or {}).get("claimed_ns") or 0
    if time.time_ns() - claimed_ns < _CLAIM_S * 10**9:
        raise Conflict(f"Log {log_id!r} goes on already")
    known = detail.body.messages or []
    if not _unanswered(known):
        raise Conflict(f"Log {log_id!r} waits for no result of a Tool")
    conversation = [*known, *_new_results(known, given)]
    missing = _unanswered(conversation)
    if missing:
        wanted = ", ".join(f"{one['name']} ({one['id']})" for one in missing)
        raise Invalid(f"messages must begin with the results (role tool) of: {wanted}")
    return conversation


def _unanswered(messages: Sequence[Message]) -> list[Json]:
    """Return the tool calls of the last reply that no message answers."""
    asked: list[Json] = []
    answered: set[str] = set()
    for message in messages:
        if message.get("role") == "assistant":
            asked, answered = message.get("tool_calls") or [], set()
        elif message.get("role") == "tool":
            answered.add(str(message.get("tool_call_id")))
    return [one for one in asked if one.get("id") not in answered]


def _new_results(known: Sequence[Message], given: Sequence[Message]) -> list[Message]:
    """Return what the caller adds, without results of calls that were run here."""
    waiting = {one["id"] for one in _unanswered(known)}
    return [m for m in given if m.get("role") != "tool" or m.get("tool_call_id") in waiting]


def _open_record(run: AgentRun) -> LogRecord:
    labels = run.labels
    body = LogBody(api_fields={"save": False})
    if labels.is_saved:
        body = LogBody(
            inputs=run.inputs or None,
            messages=run.messages or None,
            metadata=labels.metadata,
            api_fields=_told(run),
        )
    return LogRecord(
        id=run.log_id,
        is_named=True,
        is_start=True,
        kind="agent",
        name=run.target.name,
        start_ns=labels.start_ns or time.time_ns(),
        trace_parent_id=labels.trace_parent_id,
        session_id=labels.session_id,
        file=run.target.reference,
        environment=labels.environment,
        source="api",
        user=labels.user,
        status="incomplete",
        model=run.target.content.get("model"),
        run_id=labels.run_id,
        datapoint_id=labels.datapoint_id,
        body=body,
    )


def close_log(caller: Context, run: AgentRun, *, is_left: bool) -> None:
    """Write down how far an Agent came."""
    patch = LogPatch()
    if run.is_suspended and not is_left:
        patch.columns["status"] = "incomplete"
    else:
        status = "abandoned" if is_left else "complete"
        patch.columns |= {"status": "error" if run.error else status, "end_ns": time.time_ns()}
        patch.columns["finish_reason"] = run.finish_reason
    if run.error is not None:
        patch.columns["error_type"] = run.error.type
        patch.body["error"] = {"type": run.error.type}
    if run.labels.is_saved:
        patch.api_fields = {**_told(run), "claimed_ns": None}
        patch.body |= _payload(run)
    with caller.store.write() as session:
        job_count = update_log(
            session,
            caller.workspace_id,
            run.log_id,
            patch,
            match_monitors=caller.settings.match_monitors,
        )
    caller.store.announce("logs")
    if job_count:
        caller.store.announce("jobs")


def _payload(run: AgentRun) -> Json:
    payload: Json = {"messages": run.messages}
    if run.error is not None:
        payload["error"] = {"type": run.error.type, "message": run.error.message}
    elif not run.is_suspended and run.last_reply is not None:
        payload["output_message"] = run.last_reply
        payload["output"] = run.last_reply.get("content")
    return payload


def _told(run: AgentRun) -> Json:
    told = {"turns": run.turns, "tool_choice": run.tool_choice, "source": run.labels.source}
    return {name: value for name, value in told.items() if value is not None} | run.sums
