"""`kibitz eval` as CI runs it: exit codes, thresholds, sums as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Served, clean_environment
from tests.kibitz.client.conftest import collector, shared

__all__ = ["collector", "shared"]

PROGRAM = """
import sys
import helper
import kibitz

def is_right(log, target):
    return log["output"] == target["value"]

if __name__ == "__main__":
    kibitz.evaluate(
        helper.double,
        path="math/double",
        dataset=[{"inputs": {"n": n}, "target": 2 * n} for n in range(10)],
        evaluators=[is_right],
        checks={"is_right": float(sys.argv[1])} if len(sys.argv) > 1 else None,
    )
"""
HELPER = "def double(n):\n    return 2 * int(n) if n != '3' else 0\n"


def run(
    folder: Path, *arguments: str, collector: Served | None = None
) -> "subprocess.CompletedProcess[str]":
    more = {"KIBITZ_COLLECTOR": collector.url} if collector else {}
    return subprocess.run(
        [sys.executable, "-m", "kibitz", "eval", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=folder,
        env=clean_environment(KIBITZ_SPOOL_DIR=str(folder / "spool"), **more),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "check.py").write_text(PROGRAM)
    (tmp_path / "evals" / "helper.py").write_text(HELPER)
    return tmp_path


def test_the_exit_code_says_whether_checks_are_met(folder: Path, collector: Served) -> None:
    passed = run(folder, "evals/check.py", "--json", "out.json", collector=collector)
    assert passed.returncode == 0, passed.stderr
    assert "math/double over math/double dataset: 10 rows, 0 failed" in passed.stdout
    assert "0.900" in passed.stdout
    assert passed.stderr == ""
    (sums,) = json.loads((folder / "out.json").read_text())
    assert sums["measures"][0]["score"] == 0.9
    for arguments, code in (
        (["--check", "is_right=0.9"], 0),
        (["--check", "is_right=0.95"], 1),
        (["--check", "is_right=<= 0.5"], 1),
        (["--check", "errors=0"], 0),
        (["--check", "other=0"], 2),
        (["--check", "is_right"], 2),
        (["--", "0.95"], 1),
        (["--", "0.5"], 0),
    ):
        done = run(folder, "evals/check.py", *arguments, collector=collector)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
    assert (
        "FAILED"
        in run(folder, "evals/check.py", "--check", "is_right=1", collector=collector).stdout
    )


def test_what_cannot_be_evaluated_is_no_pass(folder: Path) -> None:
    assert run(folder, "nowhere.py").returncode == 2
    for program, text in (
        ("x = 1", "has evaluated nothing"),
        ("1 / 0", "ZeroDivisionError"),
        ("import kibitz\nkibitz.evaluate(3, dataset=[], evaluators=[])", "takes a function"),
    ):
        (folder / "p.py").write_text(program)
        done = run(folder, "p.py")
        assert done.returncode == 2
        assert text in done.stderr
    away = run(folder, "evals/check.py", "--collector", "http://127.0.0.1:9")
    assert away.returncode == 2
    assert "`kibitz serve`" in away.stderr
