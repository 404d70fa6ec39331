"""`kibitz explain-span` shows which rule filled which field."""

import json
from pathlib import Path

import pytest

from kibitz_collector.cli.explain_span import main
from tests.collector.receive.bodies import as_json, as_protobuf, span

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "llm.token_count.prompt": 7,
    "house.rule": "x",
}


@pytest.mark.parametrize("form", ["request", "protobuf", "span"])
def test_sources_are_shown_for_a_body_in_any_form(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "span"
    whole = {"request": as_json, "protobuf": as_protobuf}
    body = whole[form](span(1, CHAT)) if form in whole else json.dumps(span(1, CHAT)).encode()
    file.write_bytes(body)
    assert main([str(file)]) == 0
    said = capsys.readouterr().out
    assert "dialects: otel, openinference" in said
    lines = {line.split()[0]: line for line in said.splitlines() if line.startswith("  ")}
    assert lines["kind"].endswith('"prompt"  ← gen_ai.operation.name')
    assert lines["model"].endswith('"gpt-4o-mini"  ← gen_ai.request.model')
    assert lines["tokens"].endswith("← llm.token_count.prompt")
    assert "read by no rule (kept as they are): house.rule" in said


def test_json_output_names_value_and_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "span.json"
    file.write_bytes(as_json(span(1, CHAT)))
    assert main([str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fields"]["kind"] == {"value": "prompt", "source": "gen_ai.operation.name"}
    assert shown["unread"] == ["house.rule"]


def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "span.json"
    file.write_bytes(as_json(span(1) | {"traceId": "0"}))
    assert main([str(file)]) == 1
    assert "rejected: traceId '0'" in capsys.readouterr().err
    file.write_bytes(b"{")
    assert main([str(file)]) == 1
    assert main([str(tmp_path / "absent")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
