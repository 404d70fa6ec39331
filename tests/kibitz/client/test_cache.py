"""Prompts on disk: whole or not there, whatever happens to the file."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kibitz.client import cache
from kibitz.client.cache import PromptCache

ANSWER = {"type": "prompt", "version_id": "prv_1", "template": "You are kind." * 100}


def only(folder: Path) -> Path:
    (path,) = (folder / "prompts").iterdir()
    return path


def test_what_is_kept_is_read_again_under_its_own_key_only(tmp_path: Path) -> None:
    kept = PromptCache(tmp_path)
    assert kept.read("p", None, None) is None
    kept.write(ANSWER, "p", None, None)
    kept.write({**ANSWER, "version_id": "prv_2"}, "p", "staging", None)
    assert PromptCache(tmp_path).read("p", None, None) == ANSWER
    assert kept.read("p", "staging", None) == {**ANSWER, "version_id": "prv_2"}
    assert kept.read("p", None, "staging") is None
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "prompts").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "prompts").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"kind", b"rude")),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"", 1)),
        lambda path: path.chmod(0) or path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "cut", "changed", "noise", "joined", "gone", "a folder"],
)
def test_a_damaged_file_is_as_good_as_none(damage: Callable[[Path], None], tmp_path: Path) -> None:
    kept = PromptCache(tmp_path)
    kept.write(ANSWER, "p", None, None)
    damage(only(tmp_path))
    assert kept.read("p", None, None) is None
    kept.write(ANSWER, "p", None, None)
    is_writable = only(tmp_path).is_file()
    assert kept.read("p", None, None) == (ANSWER if is_writable else None)


def test_a_disk_that_takes_nothing_costs_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = PromptCache(tmp_path / "file")
    kept.write(ANSWER, "p", None, None)
    assert kept.read("p", None, None) is None


def test_old_ones_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_FILES", 10)
    kept = PromptCache(tmp_path)
    for number in range(25):
        kept.write(ANSWER, f"p{number}", None, None)
    assert len(list((tmp_path / "prompts").iterdir())) == 10


def _write_often(folder: Path, mark: str) -> None:
    kept = PromptCache(folder)
    answer: dict[str, Any] = {"mark": mark, "text": mark * 50_000}
    for _ in range(100):
        kept.write(answer, "p", None, None)


def test_readers_see_whole_files_while_processes_write(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(tmp_path, mark)) for mark in "ab"]
    for writer in writers:
        writer.start()
    kept = PromptCache(tmp_path)
    while any(writer.is_alive() for writer in writers):
        answer = kept.read("p", None, None)
        assert answer is None or answer["text"] == answer["mark"] * 50_000
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.suffix for path in (tmp_path / "prompts").iterdir()] == [".json"]
