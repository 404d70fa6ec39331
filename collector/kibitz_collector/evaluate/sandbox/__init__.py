"""Where evaluator source runs: one interface, three engines, chosen and tested before use."""

import sys

from kibitz_collector.access.http import is_loopback
from kibitz_collector.config import Settings
from kibitz_collector.errors import SetupError
from kibitz_collector.evaluate.sandbox.jail import Jail
from kibitz_collector.evaluate.sandbox.unsafe import open_unsafe
from kibitz_collector.evaluate.sandbox.verdicts import (
    Limits,
    Sandbox,
    SandboxFailure,
    Verdict,
    VerdictError,
    type_problem,
)

__all__ = [
    "Jail",
    "Limits",
    "Sandbox",
    "SandboxFailure",
    "Verdict",
    "VerdictError",
    "open_jail",
    "open_sandbox",
    "self_test",
    "type_problem",
]


def open_sandbox(settings: Settings) -> Sandbox:
    """Return the engine of the settings, tested; `auto`: the jail where it holds, else Monty.

    Raises: SetupError: the engine asked for does not work here, or is not safe to use here.
    """
    limits = Limits(
        wall_s=settings.evaluator_timeout_s, batch_wall_s=5 * settings.evaluator_timeout_s
    )
    match settings.sandbox:
        case "jail":
            return open_jail(limits)
        case "monty":
            return _open_monty(limits, "asked for")
        case "local-unsafe":
            if not is_loopback(settings.host):
                raise SetupError(
                    f"sandbox local-unsafe is refused while listening on {settings.host}: "
                    "anybody who may register an evaluator could run anything here"
                )
            return open_unsafe(limits)
        case "auto":
            try:
                return open_jail(limits)
            except SetupError as error:
                return _open_monty(limits, error.message)


def open_jail(limits: Limits) -> Jail:
    """Return a jail whose self-test passed: a child could open no file, make no socket, not fork.

    Raises: SetupError, saying why there can be none.
    """
    if sys.platform != "linux":
        raise SetupError(f"the jail needs Linux, this is {sys.platform}")
    jail = Jail(limits=limits)
    try:
        self_test(jail)
    except BaseException:
        jail.close()
        raise
    return jail


def self_test(jail: Jail) -> None:
    """Let a child try what must fail, and note in `reason` what holds it.

    Raises: SetupError: something worked, or no child could be had.
    """
    try:
        outcome = jail.probe()
    except SandboxFailure as error:
        raise SetupError(f"the jail does not start: {error}") from error
    worked = sorted(name for name, result in outcome.items() if result == "worked")
    if worked or not outcome:
        raise SetupError(f"the jail does not hold: {', '.join(worked) or 'no answer'}")
    report = jail.zygote_report
    landlock = f"Landlock ABI {report['landlock']}" if report["landlock"] else "no Landlock here"
    jail.reason = f"self-test passed: seccomp, {landlock}, user {report['uid']}"


def _open_monty(limits: Limits, reason: str) -> Sandbox:
    try:
        # Imported here: 40 MB that most collectors never need.
        from kibitz_collector.evaluate.sandbox.monty import open_monty
    except ImportError as error:
        raise SetupError(
            f"no sandbox for evaluators: {reason}; the other engine needs "
            "`pip install pydantic-monty==1.4.0`"
        ) from error
    return open_monty(limits, reason)
