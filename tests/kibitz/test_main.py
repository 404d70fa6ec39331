"""The `kibitz` command without and with the collector."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from kibitz import __main__ as command


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert "doctor" in out
    assert "spool" in out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kibitz ")


def test_a_misspelt_command_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["docter"]) == 2
    assert "doctor" in capsys.readouterr().err


def test_serve_without_the_collector_names_the_command_that_installs_it() -> None:
    # A fresh interpreter in which the collector's packages cannot be found.
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"kibitz_collector", "fastapi", "uvicorn", "starlette"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from kibitz.__main__ import main
sys.exit(main(["serve"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith('pip install "kibitz[collector]"')
    assert len(done.stderr.splitlines()) == 1


def test_a_command_of_a_collector_that_is_not_registered_names_the_way_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "entry_points", lambda group: [])
    assert command.main(["serve"]) == 2
    assert 'pip install "kibitz[collector]"' in capsys.readouterr().err


def test_a_bug_in_a_command_is_not_taken_for_a_missing_package() -> None:
    broken = EntryPoint("doctor", "kibitz.no_such_module:main", command.GROUP)
    with pytest.raises(ModuleNotFoundError):
        command._run(broken, [])
