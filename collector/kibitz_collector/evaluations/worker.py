"""The workers of runs: take a datapoint, call what is evaluated, once each; the call's Log joins.

The id of the Log follows from run and datapoint: whoever takes up what another has left finds what
is there already, so a collector that is killed doubles nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kibitz_collector import calls
from kibitz_collector.access.http import Context
from kibitz_collector.calls import AgentRun, Labels, PromptCall, RunTool, Target, ToolCall
from kibitz_collector.config import Settings
from kibitz_collector.errors import Busy, CollectorError, NotFound
from kibitz_collector.files.ids import hashed_id
from kibitz_collector.normalize import UserPrices
from kibitz_collector.records import (
    FileKind,
    Json,
    Kind,
    LogBody,
    LogError,
    LogRecord,
    Message,
)
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.datapoints import get_datapoints
from kibitz_collector.store.queries.evaluations import RunView, get_run
from kibitz_collector.store.writes import evaluations_tasks as tasks
from kibitz_collector.store.writes.evaluations_tasks import ClaimedTask
from kibitz_collector.store.writes.removal import remove_logs
from kibitz_collector.store.writes.updates import LogPatch, update_log

Clock = Callable[[], int]
CALLED_HERE: tuple[FileKind, ...] = ("prompt", "tool", "agent")
"""What a run can call by itself; Flows and Evaluators are run by those who have them."""
_LOG_KINDS: dict[FileKind, Kind] = {"prompt": "prompt", "tool": "tool", "agent": "agent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One call to make."""

    task: ClaimedTask
    target: Target
    content: Json  # of the datapoint
    log_id: str

    @property
    def labels(self) -> Labels:
        return Labels(
            log_id=self.log_id,
            run_id=self.task.run_id,
            datapoint_id=self.task.datapoint_id,
            source="evaluation",
        )


class RunWorker:
    """Makes the calls of orchestrated runs, one at a time; there are several side by side."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        prices: UserPrices,
        run_tool: RunTool,
        clock: Clock = time.time_ns,
    ) -> None:
        self._store = store
        self._settings = settings
        self._prices = prices
        self._run_tool = run_tool
        self._clock = clock
        self._lease_ns = int(settings.job_lease_s * 1e9)
        self._in_hand: ClaimedTask | None = None

    def run_once(self) -> bool:
        """Make one call; False: nothing is waiting."""
        now_ns = self._clock()
        with self._store.read() as session:
            if not tasks.is_task_waiting(session, now_ns):
                return False
        with self._store.write() as session:
            task = tasks.claim_task(session, now_ns=now_ns, lease_ns=self._lease_ns)
        if task is None:
            return False
        self._in_hand = task
        try:
            self._do(task)
        except Busy as error:
            self._try_later(task, error.message)
        except Exception as error:
            # Put off before the error goes on: what fails must not be first in line again.
            self._try_later(task, f"{type(error).__name__}: {error}"[:500])
            raise
        finally:
            self._in_hand = None
        return True

    def keep(self) -> None:
        """Make the lease of what is in hand longer; to be called while `run_once` runs."""
        task = self._in_hand
        if task is not None:
            with self._store.write() as session:
                tasks.keep_task(session, task.token, now_ns=self._clock(), lease_ns=self._lease_ns)

    def give_back(self) -> None:
        """Let others have what is in hand: this process ends before it is done."""
        task = self._in_hand
        if task is not None:
            with self._store.write() as session:
                tasks.release_task(session, task.token)
            self._store.announce("runs")

    def _do(self, task: ClaimedTask) -> None:
        with self._store.read() as session:
            run = get_run(session, task.workspace_id, task.run_id)
            work = _read_work(session, run, task)
        if work is None:
            self._finish(task, "the datapoint or the Version is gone")
            return
        if not self._is_done(work):
            try:
                self._call(work)
            except Busy:
                raise
            except CollectorError as error:
                self._note_failure(work, error.code, error.message)
        self._finish(task)

    def _is_done(self, work: _Work) -> bool:
        """Tell whether the Log is there; one that a dead process left open is taken away."""
        workspace_id = work.task.workspace_id
        with self._store.read() as session:
            known = log_queries.get_logs(session, workspace_id, [work.log_id]).get(work.log_id)
            if known is None:
                return False
            if known.summary.status != "incomplete":
                return True
            trace_id = known.summary.trace_id
            trace = log_queries.get_trace_details(session, workspace_id, trace_id or "")
        with self._store.write() as session:
            remove_logs(session, workspace_id, {work.log_id, *(one.summary.id for one in trace)})
        return False

    def _call(self, work: _Work) -> None:
        """Call it; what the model or the Tool has against it is part of the Log."""
        caller = Context(
            self._settings, self._store, work.task.workspace_id, "full", None, self._prices
        )
        inputs = work.content.get("inputs") or {}
        messages = [_flat(message) for message in work.content.get("messages") or []]
        match work.target.kind:
            case "prompt":
                call = PromptCall(
                    target=work.target,
                    inputs=inputs,
                    messages=messages,
                    labels=work.labels,
                    run_tool=self._run_tool,
                )
                calls.call_prompt(caller, call)
            case "tool":
                tool_call = ToolCall(target=work.target, inputs=inputs, labels=work.labels)
                calls.call_tool(caller, tool_call, self._run_tool)
            case "agent":
                run = calls.start_agent(
                    caller,
                    work.target,
                    messages=messages,
                    inputs=inputs,
                    labels=work.labels,
                    run_tool=self._run_tool,
                )
                for _event in calls.run_agent(caller, run, self._run_tool):
                    pass
                if run.is_suspended:
                    self._end_suspended(work, run)
            case kind:
                raise NotFound(f"a {kind.title()} cannot be called here")

    def _end_suspended(self, work: _Work, run: AgentRun) -> None:
        """Take the calls an Agent waits for as its answer: in a run nobody gives it results."""
        said = run.last_reply or {}
        patch = LogPatch(
            columns={
                "status": "complete",
                "end_ns": self._clock(),
                "finish_reason": run.finish_reason,
            },
            body={"output_message": said or None, "output": said.get("content")},
        )
        with self._store.write() as session:
            update_log(session, work.task.workspace_id, work.log_id, patch)
        self._store.announce("logs")

    def _note_failure(self, work: _Work, kind: str, message: str) -> None:
        """Store a failed Log for a call that could not even be made."""
        now_ns = self._clock()
        inputs, messages = work.content.get("inputs"), work.content.get("messages")
        record = LogRecord(
            id=work.log_id,
            is_named=True,
            kind=_LOG_KINDS[work.target.kind],
            name=work.target.name,
            start_ns=now_ns,
            end_ns=now_ns,
            file=work.target.reference,
            source="api",
            status="error",
            error_type=kind,
            run_id=work.task.run_id,
            datapoint_id=work.task.datapoint_id,
            body=LogBody(
                inputs=inputs or None,
                messages=messages or None,
                error=LogError(type=kind, message=message),
                api_fields={"source": "evaluation"},
            ),
        )
        self._store.ingest(work.task.workspace_id, [record])

    def _try_later(self, task: ClaimedTask, error: str) -> None:
        if not task.is_last_attempt:
            with self._store.write() as session:
                tasks.put_off_task(session, task, now_ns=self._clock(), error=error)
            return
        with self._store.read() as session:
            work = _read_work(session, get_run(session, task.workspace_id, task.run_id), task)
        if work is not None and not self._is_done(work):
            self._note_failure(work, "unavailable", error)
        self._finish(task, error)

    def _finish(self, task: ClaimedTask, error: str | None = None) -> None:
        with self._store.write() as session:
            tasks.finish_task(session, task.token, error)
        self._store.announce("runs")


def run_log_id(run_id: str, datapoint_id: str) -> str:
    """Return the id that the Log of a datapoint in a run always has."""
    return hashed_id("log_", run_id, datapoint_id)


def _read_work(session: Session, run: RunView, task: ClaimedTask) -> _Work | None:
    """Return the call to make; None: what it is made of has been deleted."""
    point = get_datapoints(session, [task.datapoint_id]).get(task.datapoint_id)
    files = file_queries.get_files(session, run.workspace_id, [run.file_id or ""])
    versions = file_queries.get_versions(session, run.workspace_id, [run.version_id or ""])
    if point is None or not files or not versions:
        return None
    (file,), (version,) = files.values(), versions.values()
    return _Work(
        task=task,
        target=Target(
            kind=file.kind,
            file_id=file.id,
            path=file.path,
            version_id=version.id,
            content=version.content,
        ),
        content=point.content,
        log_id=run_log_id(run.id, task.datapoint_id),
    )


def _flat(message: Message) -> Message:
    """Return a datapoint's message as Logs hold them: tool calls without their wrapping."""
    if not message.get("tool_calls"):
        return message
    called = [{"id": one.get("id"), **(one.get("function") or {})} for one in message["tool_calls"]]
    return {**message, "tool_calls": called}
