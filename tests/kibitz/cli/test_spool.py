"""`kibitz spool` and `kibitz doctor` on a spool with something in it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kibitz._runtime import LOG_RECORD, SPAN
from kibitz._setup import Outlet
from kibitz.cli import doctor, spool
from kibitz.config import load
from tests.kibitz.local_collector import (
    LocalCollector,
    always,
    hex_ids,
    local_collector,
    log_payload,
    span_payload,
    well,
)


@pytest.fixture
def collector() -> Iterator[LocalCollector]:
    with local_collector() as found:
        yield found


@pytest.fixture
def left(
    collector: LocalCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LocalCollector:
    """Three spans and a log record that an ended process could not send."""
    monkeypatch.setenv("KIBITZ_COLLECTOR", collector.url)
    monkeypatch.setenv("KIBITZ_SPOOL_DIR", str(tmp_path / "spool"))
    collector.behave = always(503)
    outlet = Outlet(load())
    for number in (1, 2, 3):
        outlet.put(SPAN, span_payload(number))
    outlet.put(LOG_RECORD, log_payload(4))
    outlet.close(0.3)
    outlet.spool.finish()
    collector.behave = well
    return collector


def test_show_lists_files_and_what_waits(
    left: LocalCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spool.main(["show"]) == 0
    out = capsys.readouterr().out
    assert "4 waiting" in out
    assert "(ended)" in out


def test_drain_sends_everything_once(
    left: LocalCollector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spool.main(["drain", "--timeout-s", "20"]) == 0
    assert capsys.readouterr().out == "sent 4, 0 still wait\n"
    assert left.span_ids == hex_ids(range(1, 4))
    assert len(left.log_records) == 1
    assert list((tmp_path / "spool").glob("*/*.seg")) == []
    assert spool.main(["drain"]) == 0
    assert capsys.readouterr().out == "sent 0, 0 still wait\n"


def test_drain_that_cannot_send_says_what_still_waits(
    left: LocalCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    left.behave = always(503)
    assert spool.main(["drain", "--timeout-s", "0.3"]) == 1
    assert capsys.readouterr().out == "sent 0, 4 still wait\n"


def test_export_writes_bodies_a_collector_would_take(left: LocalCollector, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    assert spool.main(["export", str(file)]) == 0
    bodies = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(next(iter(body)) for body in bodies) == ["resourceLogs", "resourceSpans"]
    spans = next(body for body in bodies if "resourceSpans" in body)["resourceSpans"][0]
    assert len(spans["scopeSpans"]) == 3
    assert spans["resource"]["attributes"][0]["key"] == "service.name"


def test_doctor_finds_nothing_wrong_with_a_collector_that_answers(
    left: LocalCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([]) == 0
    out = capsys.readouterr().out
    assert f"collector {left.url} answers" in out
    assert "4 records wait in 1 files" in out
    assert "ended processes wait" in out


@pytest.mark.parametrize(("status", "advice"), [(401, "api_key"), (404, "OTLP/HTTP collector?")])
def test_doctor_says_what_a_refusing_collector_may_want(
    left: LocalCollector, capsys: pytest.CaptureFixture[str], status: int, advice: str
) -> None:
    left.behave = always(status)
    assert doctor.main([]) == 1
    assert advice in capsys.readouterr().out


def test_doctor_says_how_to_start_a_missing_collector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert doctor.main(["--collector", url, "--spool-dir", str(tmp_path)]) == 1
    assert "does not answer" in (out := capsys.readouterr().out)
    assert "kibitz serve" in out


def test_doctor_lists_every_setting_but_not_the_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KIBITZ_API_KEY", "very-secret")
    assert doctor.main(["--settings"]) == 0
    out = capsys.readouterr().out
    assert "very-secret" not in out
    assert "KIBITZ_SPOOL_MAX_BYTES" in out


def test_a_wrong_setting_is_one_line_and_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KIBITZ_COLLECTOR", "nonsense")
    assert (doctor.main([]), spool.main(["show"])) == (2, 2)
    assert capsys.readouterr().err.count("KIBITZ_COLLECTOR='nonsense' must be a URL") == 2
