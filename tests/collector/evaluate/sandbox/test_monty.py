"""The engine for machines without a jail: the same attacks, the evaluators it can run."""

from collections.abc import Iterator

import pytest

from kibitz_collector.evaluate.sandbox import Limits
from kibitz_collector.evaluate.sandbox.monty import MontySandbox, open_monty
from tests.collector.evaluate.sandbox.attacks import ATTACKS
from tests.collector.evaluate.sandbox.realistic import REALISTIC

LOG = {"id": "log_1", "output": "fine"}
# What this interpreter does not know: inheritance, `yield`, and these modules.
UNKNOWN = {
    "uses an enum and inheritance",
    "uses a generator and a context manager",
    "uses statistics",
    "similarity to the question",
    "strips HTML",
    "reads XML",
    "reads CSV",
    "checks links",
    "finds errors below a flow",
    "validates with its own exception",
    "logs and prints",
    "knows the clock and chance",
    "uses a dataclass",
    "is async",
}
# Written `find(log, kind=…)` there.
FIND = {"sums the cost of a trace", "answer is grounded in the search"}


@pytest.fixture(scope="module")
def monty() -> Iterator[MontySandbox]:
    sandbox = open_monty(Limits(wall_s=0.5, batch_wall_s=2.5), "for the test")
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_contained_and_the_next_evaluator_is_served(
    monty: MontySandbox, name: str
) -> None:
    (verdict,) = monty.run(ATTACKS[name], [LOG], return_type="boolean")
    assert verdict.value is not True
    assert len(verdict.stdout) <= 20_000
    good = "def evaluator(log): return log['output'] == 'fine'"
    assert [v.value for v in monty.run(good, [LOG], return_type="boolean")] == [True]


@pytest.mark.parametrize("name", sorted(set(REALISTIC) - UNKNOWN - FIND))
def test_realistic_evaluator_judges_right(monty: MontySandbox, name: str) -> None:
    source, return_type, log, wanted = REALISTIC[name]
    (verdict,) = monty.run(source, [log], return_type=return_type)
    assert verdict.error is None
    assert verdict.value == wanted


@pytest.mark.parametrize("name", sorted(FIND))
def test_log_tree_is_searched_with_a_function(monty: MontySandbox, name: str) -> None:
    source, return_type, log, wanted = REALISTIC[name]
    source = source.replace("log.find(", "find(log, ")
    (verdict,) = monty.run(source, [log], return_type=return_type)
    assert verdict.error is None
    assert verdict.value == wanted


def test_error_names_type_and_line(monty: MontySandbox) -> None:
    source = "def evaluator(log):\n    x = 1\n    return log['missing'] + x\n"
    (verdict,) = monty.run(source, [LOG], return_type="number")
    assert verdict.error is not None
    assert (verdict.error.type, verdict.error.line) == ("KeyError", 3)


def test_state_stays_within_a_batch(monty: MontySandbox) -> None:
    counting = "seen = []\ndef evaluator(log):\n    seen.append(1)\n    return len(seen)"
    for _ in range(2):
        verdicts = monty.run(counting, [LOG, LOG], return_type="number")
        assert [v.value for v in verdicts] == [1, 2]


def test_source_that_does_not_compile_is_refused_with_its_line(monty: MontySandbox) -> None:
    problem = monty.check("def evaluator(log):\n    return (")
    assert problem is not None
    assert problem.line == 2
