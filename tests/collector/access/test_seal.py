"""Secrets at rest: sealed with one key, opened only with it."""

import stat
import threading
from pathlib import Path

import pytest

from kibitz_collector.access.seal import Sealer, open_sealer
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid


def test_what_is_sealed_is_opened_again_and_shows_nothing() -> None:
    sealed = Sealer("a long secret").seal("sesame ☂")
    assert "sesame" not in sealed
    assert Sealer("a long secret").unseal(sealed) == "sesame ☂"


def test_another_key_or_a_changed_text_is_refused_with_the_way_out() -> None:
    sealed = Sealer("one").seal("sesame")
    for sealer, text in ((Sealer("two"), sealed), (Sealer("one"), sealed[:-4] + "AAAA")):
        with pytest.raises(Invalid, match="KIBITZ_SECRET_KEY"):
            sealer.unseal(text)
    with pytest.raises(Invalid):
        Sealer("one").unseal("ünsinn")


def test_a_laptop_gets_a_key_file_only_its_owner_may_read(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'k.db'}")
    sealed = open_sealer(settings).seal("sesame")
    file = tmp_path / "k.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_sealer(settings).unseal(sealed) == "sesame"
    assert [one.name for one in tmp_path.iterdir()] == ["k.db.key"]


def test_processes_starting_at_once_agree_on_one_key(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'k.db'}")
    start, sealers = threading.Barrier(8), []

    def open_one() -> None:
        start.wait()
        sealers.append(open_sealer(settings))

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = sealers[0].seal("sesame")
    assert [one.unseal(sealed) for one in sealers] == ["sesame"] * 8


def test_a_damaged_key_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "k.db.key").write_text("")
    with pytest.raises(Invalid, match="damaged"):
        open_sealer(Settings(database_url=f"sqlite:///{tmp_path / 'k.db'}"))


def test_without_a_file_beside_it_a_database_needs_a_secret_key() -> None:
    with pytest.raises(Invalid, match="KIBITZ_SECRET_KEY"):
        open_sealer(Settings(database_url="postgresql://h/n"))
    assert open_sealer(Settings(database_url="postgresql://h/n", secret_key="k" * 40))
