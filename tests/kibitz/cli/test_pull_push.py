"""pull and push: what is in a folder and what is in the collector, both ways."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kibitz.cli import pull, push
from tests.e2e.conftest import Served
from tests.kibitz.client.conftest import CHAT, collector, said, shared, upsert

__all__ = ["collector", "shared"]

Run = Callable[..., tuple[int, str]]
AGENT = {"model": "gpt-4o", "max_iterations": 3, "template": [{"role": "user", "content": "go"}]}
TEXT = """---
model: gpt-4o
provider: openai
endpoint: chat
temperature: 0.5
---
<user>
  Say {{word}}.
</user>
"""


@pytest.fixture
def run(collector: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(command: Any, *arguments: str) -> tuple[int, str]:
        more = ["--collector", collector.url, "--folder", str(tmp_path / "files")]
        code = command.main([*arguments, *more])
        out = capsys.readouterr()
        return code, out.out + out.err

    (tmp_path / "files").mkdir()
    return run


def make_staging(collector: Served) -> None:
    with collector.client() as client:
        said(client.post("/api/environments", json={"name": "staging"}))


def test_what_is_pulled_and_pushed_again_changes_nothing(
    run: Run, collector: Served, tmp_path: Path
) -> None:
    upsert(collector, "prompts", path="support/reply", **CHAT)
    upsert(collector, "agents", path="helper", **AGENT)
    upsert(collector, "flows", path="a/flow", attributes={})
    code, out = run(pull)
    assert code == 0
    assert out.endswith("2 new\n")
    files = {path.relative_to(tmp_path / "files"): path for path in tmp_path.rglob("files/**/*.*")}
    assert sorted(map(str, files)) == ["helper.agent", "support/reply.prompt"]
    before = {path: path.read_bytes() for path in files.values()}
    assert b"You are {{tone}}." in before[files[Path("support/reply.prompt")]]
    assert run(push)[1].endswith("2 same\n")
    assert run(pull)[1].endswith("2 same\n")
    assert {path: path.read_bytes() for path in files.values()} == before


def test_an_edit_becomes_a_version_that_is_deployed_where_wanted(
    run: Run, collector: Served, tmp_path: Path
) -> None:
    made = upsert(collector, "prompts", path="p", **CHAT)
    make_staging(collector)
    run(pull)
    path = tmp_path / "files" / "p.prompt"
    path.write_text(path.read_text().replace("You are {{tone}}.", "Be {{tone}}.\n  And brief."))
    code, out = run(push, "--diff", "--dry-run")
    assert code == 0
    assert "~ p.prompt" in out
    assert "+2 -1 lines" in out
    assert "-  You are {{tone}}.\n+  Be {{tone}}." in out
    with collector.client() as client:
        assert len(client.get(f"/v5/prompts/{made['id']}/versions").json()["records"]) == 1
        code, out = run(push, "--environment", "staging")
        assert (code, out.splitlines()[-1]) == (0, "1 changed")
        staged = said(client.get(f"/v5/prompts/{made['id']}", params={"environment": "staging"}))
        assert staged["template"][0]["content"] == "Be {{tone}}.\nAnd brief."
        assert client.get(f"/v5/prompts/{made['id']}").json()["version_id"] == made["version_id"]
    assert run(push, "--environment", "staging")[1].endswith("1 same\n")
    code, out = run(push)
    assert f"{staged['version_id']}, known but not deployed" in out
    code, out = run(push, "--environment", "production")
    assert f"^ p.prompt  {staged['version_id']} to production" in out
    path.write_text("")
    run(pull, "--environment", "staging")
    assert "Be {{tone}}." in path.read_text()


def test_new_files_make_new_prompts_at_their_path(
    run: Run, collector: Served, tmp_path: Path
) -> None:
    (tmp_path / "files" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "files" / "deep" / "er" / "say.prompt").write_text(TEXT)
    (tmp_path / "files" / ".git").mkdir()
    (tmp_path / "files" / ".git" / "no.prompt").write_text(TEXT)
    assert run(push, "--dry-run")[1].endswith("1 new (dry run: nothing was written)\n")
    _code, out = run(push)
    assert out.startswith("+ deep/er/say.prompt  prv_")
    with collector.client() as client:
        found = client.post("/v5/files/retrieve-by-path", json={"path": "deep/er/say"})
        assert said(found)["temperature"] == 0.5
    assert run(push, "deep")[1].endswith("1 same\n")
    assert run(push, "deep/er/say")[1].endswith("1 same\n")


def test_a_broken_file_is_told_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "a.prompt").write_text("---\nmodel: [\n---\n")
    (folder / "b.prompt").write_bytes(b"\xff\xfe")
    (folder / "c.prompt").write_text(TEXT)
    (folder / "d.agent").write_text("no header")
    code, out = run(push)
    assert code == 1
    assert out.endswith("1 new, 3 failed\n")
    assert "! b.prompt  the file is not UTF-8 text" in out


def test_paths_choose_what_is_pulled(run: Run, collector: Served, tmp_path: Path) -> None:
    for path in ("support/reply", "support/old", "other"):
        upsert(collector, "prompts", path=path, **CHAT)
    for chosen, count in (("support", 2), ("support/old.prompt", 1), ("other", 1)):
        _code, out = run(pull, chosen, "--dry-run")
        assert out.endswith(f"{count} new (dry run: nothing was written)\n")
    assert list((tmp_path / "files").iterdir()) == []
    code, out = run(pull, "nowhere")
    assert code == 2
    assert "no File at 'nowhere'" in out
    code, out = run(pull, "--environment", "moon")
    assert code == 2
    assert "Environment moon does not exist" in out


def test_more_files_than_a_page_holds_are_pulled(run: Run, collector: Served) -> None:
    for number in range(105):
        upsert(collector, "prompts", path=f"many/{number}", **CHAT)
    assert run(pull)[1].endswith("105 new\n")


def test_nothing_is_written_outside_the_folder(run: Run, collector: Served, tmp_path: Path) -> None:
    upsert(collector, "prompts", path="link/p", **CHAT)
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "files" / "link")
    code, out = run(pull)
    assert code == 1
    assert "leaves the folder" in out
    assert list((tmp_path / "outside").iterdir()) == []


def test_without_a_collector_the_command_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.prompt").write_text(TEXT)
    for command in (pull, push):
        arguments = ["--collector", "http://127.0.0.1:9", "--folder", str(tmp_path)]
        assert command.main(arguments) == 2
        assert "`kibitz serve`" in capsys.readouterr().err
    assert push.main(["--folder", str(tmp_path / "none")]) == 2
    assert "no .prompt or .agent file" in capsys.readouterr().err
