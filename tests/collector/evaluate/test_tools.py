"""Code of Tools in the sandbox: arguments by name, text out, lines as written."""

from collections.abc import Iterator
from typing import Any

import pytest

from kibitz_collector.calls import ToolOutcome
from kibitz_collector.errors import Busy, Invalid
from kibitz_collector.evaluate.sandbox import Limits, Sandbox, open_jail
from kibitz_collector.evaluate.sandbox.monty import open_monty
from kibitz_collector.evaluate.tools import run_tool

SOURCE = """from __future__ import annotations
import os
KEY = os.environ.get("KEY")
def helper(a): return a
def calc(op: str, a: int, b: int = 2) -> dict:
    print("calculating")
    if op == "boom":
        raise ValueError("bad op")
    return {"sum": helper(a) + b, "key": KEY}
"""


@pytest.fixture(scope="module")
def jail() -> Iterator[Sandbox]:
    opened = open_jail(Limits())
    yield opened
    opened.close()


def run(sandbox: Sandbox, source: str, name: str | None = None, **inputs: Any) -> ToolOutcome:
    return run_tool(sandbox, 5, source, name, inputs, {})


def test_values_become_text_and_printing_is_kept(jail: Sandbox) -> None:
    outcome = run(jail, SOURCE, "calc", op="add", a=1)
    assert outcome == ToolOutcome(output='{"sum": 3, "key": null}', stdout="calculating\n")
    assert run(jail, "def f(x):\n    return x", x="as it is").output == "as it is"
    assert run(jail, "def f():\n    return None").output == "null"
    assert run(jail, "async def f(x):\n    return [x]", x=1).output == "[1]"


def test_named_function_is_called_else_the_last(jail: Sandbox) -> None:
    two = "def one():\n    return 1\ndef two():\n    return 2\n"
    assert run(jail, two, "one").output == "1"
    assert run(jail, two, "three").output == "2"


@pytest.mark.parametrize("variables", [{}, {"KEY": 'a "secret"\n'}])
def test_errors_name_the_line_of_the_source(jail: Sandbox, variables: dict[str, str]) -> None:
    outcome = run_tool(jail, 5, SOURCE, "calc", {"op": "boom", "a": 1}, variables)
    assert outcome.error == "ValueError: bad op (line 8)"
    assert (outcome.error_type, outcome.output) == ("ValueError", None)


def test_variables_are_there_when_the_source_is_loaded(jail: Sandbox) -> None:
    variables = {"KEY": 'it\'s "quoted"'}
    outcome = run_tool(jail, 5, SOURCE, "calc", {"op": "add", "a": 1}, variables)
    assert outcome.output == '{"sum": 3, "key": "it\'s \\"quoted\\""}'


def test_variables_of_one_call_are_not_there_in_the_next(jail: Sandbox) -> None:
    run_tool(jail, 5, SOURCE, "calc", {"op": "add", "a": 1}, {"KEY": "x"})
    assert run(jail, SOURCE, "calc", op="add", a=1).output == '{"sum": 3, "key": null}'


def test_code_that_never_ends_or_reaches_out_is_stopped(jail: Sandbox) -> None:
    endless = run_tool(jail, 0.3, "def f():\n    while True: pass", None, {}, {})
    assert endless.error_type == "Timeout"
    reaching = run(jail, "def f():\n    return open('/etc/passwd').read()")
    assert reaching.error is not None


def test_source_without_a_function_is_refused(jail: Sandbox) -> None:
    with pytest.raises(Invalid, match="defines no function"):
        run(jail, "x = 1")
    with pytest.raises(Busy, match="without a sandbox"):
        run_tool(None, 1, SOURCE, None, {}, {})


def test_the_other_engine_runs_simple_tools_too() -> None:
    sandbox = open_monty(Limits(), "asked for")
    try:
        source = "def add(a, b=0):\n    return {'sum': a + b}"
        assert run(sandbox, source, a=1, b=2).output == '{"sum": 3}'
    finally:
        sandbox.close()
