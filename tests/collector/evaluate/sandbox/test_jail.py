"""The jail: what must not work does not, what kills one evaluator leaves the next one alone."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kibitz_collector.evaluate.sandbox import Limits, open_jail
from kibitz_collector.evaluate.sandbox.jail import Jail
from kibitz_collector.records import ReturnType
from tests.collector.evaluate.sandbox.attacks import ATTACKS
from tests.collector.evaluate.sandbox.realistic import REALISTIC

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux only")

GOOD = "def evaluator(log): return log['output'] == 'fine'"
LOG = {"id": "log_1", "output": "fine"}


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = open_jail(Limits(wall_s=0.5, batch_wall_s=2.5))
    yield jail
    jail.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_contained_and_the_next_evaluator_is_served(jail: Jail, name: str) -> None:
    zygote = jail.zygote_report["pid"]
    (verdict,) = jail.run(ATTACKS[name], [LOG], return_type="boolean")
    assert verdict.value is not True
    assert len(verdict.stdout) < 20_000
    started = time.monotonic()
    assert [v.value for v in jail.run(GOOD, [LOG], return_type="boolean")] == [True]
    assert time.monotonic() - started < 2.0  # 0.1 s on a machine with nothing else to do
    assert jail.zygote_report["pid"] == zygote  # it was not even restarted
    assert psutil.Process(zygote).children() == []


def test_attacks_leave_no_file(jail: Jail) -> None:
    jail.run(ATTACKS["writes a file"], [LOG], return_type="boolean")
    assert not Path("/tmp/kibitz-escape").exists()


@pytest.mark.parametrize("name", REALISTIC)
def test_realistic_evaluator_judges_right(jail: Jail, name: str) -> None:
    source, return_type, log, wanted = REALISTIC[name]
    (verdict,) = jail.run(source, [log], return_type=return_type, limits=Limits(wall_s=5.0))
    assert verdict.error is None
    assert verdict.value == wanted


def test_batch_stops_at_the_log_that_killed_it(jail: Jail) -> None:
    source = """
def evaluator(log):
    while log["n"] == 1:
        pass
    return True
"""
    verdicts = jail.run(source, [{"n": 0}, {"n": 1}, {"n": 2}], return_type="boolean")
    assert [v.value for v in verdicts] == [True, None]
    assert verdicts[1].is_fatal
    assert verdicts[1].error is not None
    assert verdicts[1].error.type == "Timeout"


def test_batch_stops_when_its_time_is_up(jail: Jail) -> None:
    source = "import time\ndef evaluator(log):\n    time.sleep(0.2)\n    return True"
    limits = Limits(wall_s=2.0, batch_wall_s=0.3)
    verdicts = jail.run(source, [{}] * 10, return_type="boolean", limits=limits)
    assert 1 <= len(verdicts) < 10
    assert all(v.value is True and not v.is_strike for v in verdicts)


def test_state_stays_within_a_batch(jail: Jail) -> None:
    poison = """
import json, builtins
def evaluator(log):
    json.loads = builtins.abs = lambda *_: 1 / 0
    return True
"""
    assert jail.run(poison, [LOG], return_type="boolean")[0].value is True
    next_tenant = "import json\ndef evaluator(log): return abs(json.loads('-2'))"
    assert jail.run(next_tenant, [LOG], return_type="number")[0].value == 2


def test_every_fork_draws_other_random_numbers(jail: Jail) -> None:
    source = "import random\ndef evaluator(log): return random.random()"
    drawn = {jail.run(source, [LOG], return_type="number")[0].value for _ in range(5)}
    assert len(drawn) == 5


def test_answer_prepared_ahead_does_not_judge_the_next_log(jail: Jail) -> None:
    source = """
import json, os, struct
def evaluator(log):
    text = json.dumps({"n": "00", "value": True}).encode()
    os.write(1, struct.pack(">I", len(text)) + text)
    return False
"""
    verdicts = jail.run(source, [LOG, LOG], return_type="boolean")
    assert len(verdicts) == 1
    assert verdicts[0].is_fatal
    assert verdicts[0].error is not None
    assert verdicts[0].error.type == "Forged"


def test_error_names_type_message_and_line(jail: Jail) -> None:
    source = "def evaluator(log):\n    x = 1\n    return log['missing'] + x\n"
    (verdict,) = jail.run(source, [LOG], return_type="number")
    assert verdict.error is not None
    assert (verdict.error.type, verdict.error.line) == ("KeyError", 3)
    assert not verdict.is_strike


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("def evaluator(log):\n    return (", 2, "never closed"),
        ("x = 1\n", 1, "no function"),
        ("def evaluator(a, b):\n    return 1", 1, "one argument"),
        ("def helper(a, b): pass\ndef evaluator(*, log): pass", 2, "one argument"),
        ("def evaluator(log):\n\treturn 1\n        return 2", 3, "tabs"),
        ("x = '\x00'\ndef evaluator(log): pass", None, "null bytes"),
    ],
)
def test_source_that_does_not_compile_is_refused_with_its_line(
    jail: Jail, source: str, line: int | None, words: str
) -> None:
    problem = jail.check(source)
    assert problem is not None
    assert words in problem.message
    assert problem.line == line


def test_source_that_would_crash_the_compiler_is_refused(jail: Jail) -> None:
    assert jail.check("def evaluator(log): return " + "-" * 100_000 + "1") is not None
    assert jail.check("def evaluator(log): return " + "[" * 1000 + "]" * 1000) is not None
    assert jail.check("#" * 300_000 + "\ndef evaluator(log): return 1") is not None


def test_checking_does_not_run_the_source(jail: Jail) -> None:
    assert jail.check("while True: pass\ndef evaluator(log): return True") is None


def test_last_function_defined_is_the_evaluator(jail: Jail) -> None:
    source = "def helper(x): return x * 2\ndef judge(log): return helper(log['n'])"
    assert jail.run(source, [{"n": 4}], return_type="number")[0].value == 8


@pytest.mark.parametrize(
    ("returned", "return_type", "options", "wanted"),
    [
        ("True", "boolean", None, True),
        ("1", "boolean", None, "error"),
        ("None", "boolean", None, None),
        ("0", "number", None, 0),
        ("True", "number", None, "error"),
        ("1e400", "number", None, "error"),
        ("10 ** 400", "number", None, "error"),
        ("'good'", "select", ["good", "bad"], "good"),
        ("'fine'", "select", ["good", "bad"], "error"),
        ("'good'", "select", [{"name": "good", "valence": "positive"}], "good"),
        ("['a', 'b']", "multi_select", ["a", "b"], ["a", "b"]),
        ("('a',)", "multi_select", ["a", "b"], ["a"]),
        ("{'b', 'a'}", "multi_select", ["a", "b"], ["a", "b"]),
        ("'a'", "multi_select", ["a", "b"], "error"),
        ("'words'", "text", None, "words"),
        ("b'words'", "text", None, "error"),
        ("'a\\x00b'", "text", None, "a\ufffdb"),
        ("'\\ud800'", "text", None, "error"),
        ("object()", "text", None, "error"),
    ],
)
def test_value_must_be_of_the_declared_type(
    jail: Jail, returned: str, return_type: ReturnType, options: list[object], wanted: object
) -> None:
    source = f"def evaluator(log): return {returned}"
    (verdict,) = jail.run(source, [LOG], return_type=return_type, options=options)
    if wanted == "error":
        assert verdict.error is not None
        assert verdict.value is None
    else:
        assert verdict.error is None
        assert verdict.value == wanted


def test_output_is_kept_per_log_and_cut(jail: Jail) -> None:
    source = "def evaluator(log):\n    print('n', log['n'])\n    return True"
    verdicts = jail.run(source, [{"n": 1}, {"n": 2}], return_type="boolean")
    assert [v.stdout for v in verdicts] == ["n 1\n", "n 2\n"]
    source = "def evaluator(log):\n    print('x' * 100_000)\n    return True"
    (verdict,) = jail.run(source, [LOG], return_type="boolean")
    assert verdict.value is True
    assert verdict.stdout.endswith("more characters were printed")
    assert len(verdict.stdout) < 17_000


def test_walls_count_as_strikes_and_mistakes_do_not(jail: Jail) -> None:
    for source, is_strike in [
        ("def evaluator(log): open('/etc/passwd')", True),
        ("import socket\ndef evaluator(log): socket.socket()", True),
        ("import os\ndef evaluator(log): os.fork()", True),
        ("def evaluator(log): bytearray(10 * 2**30)", True),
        ("def evaluator(log): 1 / 0", False),
        ("def evaluator(log): import requests", False),
    ]:
        assert jail.run(source, [LOG], return_type="boolean")[0].is_strike is is_strike, source


def test_log_tree_can_be_searched(jail: Jail) -> None:
    tree = {
        "kind": "flow",
        "children": [
            {"kind": "prompt", "name": "a", "children": [{"kind": "tool", "path": "x/y"}]},
            {"kind": "tool", "name": "b"},
        ],
    }
    source = """
def evaluator(log):
    assert [c["kind"] for c in log.find()] == ["prompt", "tool", "tool"]
    assert len(log.find(kind="tool", name="x/y")) == 1
    return len(log.find(kind="tool"))
"""
    assert jail.run(source, [tree], return_type="number")[0].value == 2


def test_large_and_strange_logs_arrive_whole(jail: Jail) -> None:
    log = {"output": "ä€😀" * 300_000, "n": 2**80, "deep": [[[[1]]]]}
    source = "def evaluator(log): return len(log['output']) + (log['n'] == 2**80)"
    assert jail.run(source, [log], return_type="number")[0].value == 900_001


def test_batches_of_several_threads_do_not_mix(jail: Jail) -> None:
    wrong: list[object] = []

    def judge(number: int) -> None:
        source = f"def evaluator(log): return log['n'] + {number * 1000}"
        for _ in range(3):
            verdicts = jail.run(source, [{"n": n} for n in range(20)], return_type="number")
            wanted = [number * 1000 + n for n in range(20)]
            wrong.extend(v for v, w in zip(verdicts, wanted, strict=True) if v.value != w)

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_killed_zygote_is_replaced() -> None:
    jail = open_jail(Limits(wall_s=0.5))
    try:
        first = jail.zygote_report["pid"]
        psutil.Process(first).kill()
        assert jail.run(GOOD, [LOG], return_type="boolean")[0].value is True
        assert jail.zygote_report["pid"] != first
    finally:
        jail.close()


def test_closing_ends_every_process() -> None:
    jail = open_jail(Limits(wall_s=5.0))
    zygote = psutil.Process(jail.zygote_report["pid"])
    thread = threading.Thread(
        target=jail.run,
        args=("def evaluator(log):\n    while True: pass", [LOG]),
        kwargs={"return_type": "boolean"},
    )
    thread.start()
    deadline = time.monotonic() + 5
    while not (children := zygote.children()) and time.monotonic() < deadline:
        pass
    jail.close()
    thread.join(5)
    assert not thread.is_alive()
    assert psutil.wait_procs([*children, zygote], timeout=5)[1] == []


def test_zygote_has_no_rights_of_ours(jail: Jail) -> None:
    report = jail.zygote_report
    process = psutil.Process(report["pid"])
    assert report["uid"] == process.uids().real
    if os.geteuid() == 0:
        assert report["uid"] != 0
        status = Path(f"/proc/{report['pid']}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert process.environ() == {}


def test_memory_does_not_grow_over_hostile_batches(jail: Jail) -> None:
    source = "import os\ndef evaluator(log): os._exit(1)"
    processes = psutil.Process(), psutil.Process(jail.zygote_report["pid"])

    def sizes() -> list[int]:
        return [process.memory_info().rss for process in processes]

    for _ in range(50):
        jail.run(source, [LOG], return_type="boolean")
    before, descriptors = sizes(), processes[0].num_fds()
    for _ in range(300):
        jail.run(source, [LOG], return_type="boolean")
    ours, zygotes = (after - first for after, first in zip(sizes(), before, strict=True))
    assert ours < 2 * 2**20
    assert zygotes < 2**20
    assert processes[0].num_fds() == descriptors
