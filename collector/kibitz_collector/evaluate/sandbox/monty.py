"""The engine for machines without a jail: `pydantic-monty==1.4.0`, a Python interpreter in Rust.

Knows less Python than CPython (no inheritance, no `yield`, fewer modules; `log.find(…)` is written
`find(log, …)`). Its pool is not fork-safe and is therefore opened again in every process.
"""

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal

import pydantic_monty

from kibitz_collector.evaluate.sandbox.answers import BadAnswer, parse
from kibitz_collector.evaluate.sandbox.entry import FILENAME, compile_source
from kibitz_collector.evaluate.sandbox.verdicts import (
    MAX_SOURCE_CHARS,
    Limits,
    Log,
    Options,
    SandboxFailure,
    Verdict,
    VerdictError,
    typed,
)
from kibitz_collector.records import ReturnType

_GRACE_S = 1.0
_RECURSION = 1000
# Tuples and sets become lists inside, where the memory limit holds, as the jail does it.
_PRELUDE = """
import json as _kibitz_json
def find(log, kind=None, name=None):
    found = []
    for child in log.get("children") or []:
        if (kind is None or child.get("kind") == kind) and (
            name is None or name == child.get("name") or name == child.get("path")
        ):
            found.append(child)
        found += find(child, kind, name)
    return found
def _kibitz_answer(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    return _kibitz_json.dumps({"value": value}, allow_nan=False)
"""


class MontySandbox:
    """Runs each batch in a fresh interpreter session of a worker process. Thread-safe."""

    engine = "monty"

    def __init__(self, *, reason: str, limits: Limits) -> None:
        self.reason = reason
        self._limits = limits
        self._lock = threading.Lock()
        self._pool: pydantic_monty.Monty | None = None
        self._pool_pid = 0

    def run(
        self,
        source: str,
        logs: Sequence[Log],
        *,
        return_type: ReturnType,
        options: Options = None,
        limits: Limits | None = None,
    ) -> list[Verdict]:
        """Judge the Logs in order in one session. See `Sandbox.run`."""
        limits = limits or self._limits
        refused = self.check(source)
        if refused is not None:
            return [Verdict(error=refused)] * len(logs)
        name = compile_source(source)[1]
        ends_at = time.monotonic() + limits.batch_wall_s
        with self._session(limits) as session:
            loaded = _feed(session, source, {}, limits)
            if loaded.error is not None:
                return [loaded] if loaded.is_fatal else [loaded] * len(logs)
            verdicts: list[Verdict] = []
            for log in logs:
                if verdicts and time.monotonic() > ends_at:
                    break
                code = f"_kibitz_answer({name}(_kibitz_log))"
                verdict = _feed(session, code, {"_kibitz_log": log}, limits)
                verdicts.append(typed(_read_value(verdict, limits), return_type, options))
                if verdicts[-1].is_fatal:
                    break
            return verdicts

    def check(self, source: str) -> VerdictError | None:
        """Compile without running; see `Sandbox.check`."""
        if len(source) > MAX_SOURCE_CHARS:
            message = f"the source is longer than {MAX_SOURCE_CHARS} characters"
            return VerdictError(type="SyntaxError", message=message)
        try:
            compile_source(source)
        except SyntaxError as error:
            return VerdictError(type="SyntaxError", message=str(error.msg), line=error.lineno)
        except (ValueError, RecursionError, MemoryError) as error:
            return VerdictError(type=type(error).__name__, message=str(error))
        return None

    def close(self) -> None:
        """End the worker processes."""
        with self._lock:
            if self._pool is not None and self._pool_pid == os.getpid():
                self._pool.__exit__(None, None, None)
            self._pool = None

    def _session(self, limits: Limits) -> "_Session":
        with self._lock:
            if self._pool is None or self._pool_pid != os.getpid():
                pool = pydantic_monty.Monty(
                    request_timeout=limits.wall_s + _GRACE_S, feed_duration_limit_grace=_GRACE_S
                )
                try:
                    self._pool = pool.__enter__()
                except (OSError, pydantic_monty.MontyError) as error:
                    raise SandboxFailure(f"Monty does not start: {error}") from error
                self._pool_pid = os.getpid()
            return _Session(self._pool, limits)


class _Session:
    """One checkout with its limits, the prelude loaded."""

    def __init__(self, pool: pydantic_monty.Monty, limits: Limits) -> None:
        self._checkout = pool.checkout(
            script_name=FILENAME.strip("<>") + ".py",
            limits={
                "max_feed_duration_secs": limits.wall_s,
                "max_memory": limits.memory_bytes,
                "max_recursion_depth": _RECURSION,
            },
            # The default would let `time.sleep` hold a worker for ten seconds a call.
            os_policy={"sleep": "zero"},
        )

    def __enter__(self) -> pydantic_monty.MontySession:
        try:
            session = self._checkout.__enter__()
            session.feed_run(_PRELUDE)
        except (OSError, pydantic_monty.MontyError) as error:
            raise SandboxFailure(f"Monty does not answer: {error}") from error
        return session

    def __exit__(self, *exception: Any) -> None:
        self._checkout.__exit__(*exception)


class _Console:
    """Keeps the first characters of what is printed."""

    def __init__(self, limit: int) -> None:
        self._kept: list[str] = []
        self._room = limit

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        if self._room > 0:
            self._kept.append(text[: self._room])
            self._room -= len(text)

    def text(self) -> str:
        return "".join(self._kept).replace("\x00", "\ufffd")


def _feed(
    session: pydantic_monty.MontySession, code: str, inputs: dict[str, Any], limits: Limits
) -> Verdict:
    """Run one snippet; every way it can end becomes a verdict."""
    console = _Console(limits.stdout_chars)
    started = time.monotonic()
    value, error, fatal, refused = None, None, False, False
    try:
        value = session.feed_run(code, inputs=inputs, print_callback=console)
    except pydantic_monty.MontyCrashedError as crash:
        fatal = True
        error = (
            VerdictError(type="Timeout", message=f"not finished after {limits.wall_s:g} s")
            if crash.timed_out
            else VerdictError(type="Crash", message="it crashed the interpreter")
        )
    except (pydantic_monty.MontyRuntimeError, pydantic_monty.MontySyntaxError) as raised:
        original = raised.exception()
        # A time limit may leave the session's heap in any state: it is not used again.
        fatal = isinstance(original, TimeoutError)
        refused = isinstance(original, MemoryError | PermissionError)
        error = VerdictError(
            type="Timeout" if fatal else type(original).__name__,
            message=str(original)[:2000],
            line=_line_of(raised),
        )
    except (pydantic_monty.MontyError, ValueError) as other:
        error = VerdictError(type=type(other).__name__, message=str(other)[:2000])
    return Verdict(
        value=value,
        error=error,
        stdout=console.text(),
        duration_ms=(time.monotonic() - started) * 1000,
        is_fatal=fatal,
        is_refused=refused,
    )


def _read_value(verdict: Verdict, limits: Limits) -> Verdict:
    if verdict.error is not None:
        return verdict
    value, error, fatal = None, None, False
    try:
        value = parse(verdict.value if isinstance(verdict.value, str) else "", limits).get("value")
    except BadAnswer as bad:
        error, fatal = VerdictError(type="Forged", message=str(bad)), True
    return Verdict(
        value=value,
        error=error,
        stdout=verdict.stdout,
        duration_ms=verdict.duration_ms,
        is_fatal=fatal,
    )


def _line_of(
    raised: pydantic_monty.MontyRuntimeError | pydantic_monty.MontySyntaxError,
) -> int | None:
    """Return the innermost line inside a function of the evaluator, or of its top level."""
    frames = raised.traceback()
    inner = [f.line for f in frames if f.function_name not in (None, "<module>", "_kibitz_answer")]
    if inner:
        return inner[-1]
    return frames[-1].line if len(frames) == 1 else None


def open_monty(limits: Limits, reason: str) -> MontySandbox:
    """Return the engine after it has judged something.

    Raises: SandboxFailure.
    """
    sandbox = MontySandbox(reason=reason, limits=limits)
    try:
        verdicts = sandbox.run(
            "def evaluator(log): return log['n'] == 1", [{"n": 1}], return_type="boolean"
        )
    except SandboxFailure:
        sandbox.close()
        raise
    if [v.value for v in verdicts] != [True]:
        sandbox.close()
        raise SandboxFailure(f"Monty does not judge: {verdicts}")
    return sandbox
