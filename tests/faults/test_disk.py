"""Disks that are full, read-only or deleted, and the spool's own limits."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kibitz import _directory
from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Host, Hosts

# The half minute between two looks at a bad disk, shortened.
IMPATIENT = """
import logging
logging.getLogger("kibitz").addHandler(logging.NullHandler())
import kibitz._spool
kibitz._spool.RETRY_DISK_S = 0.2
kibitz.init(exit_timeout_s=0.5)
"""


def fill(volume: Path) -> Path:
    """Take all the room there is."""
    filler = volume / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (2**16, 2**12):
            while True:
                try:
                    if file.write(bytes(piece)) < piece:
                        break
                except OSError:
                    break
    return filler


def wait_until_spooled(hosts: Hosts, host: Host) -> None:
    """Let the program look, time and again, until nothing is in memory any more."""
    for _ in range(200):
        host.go_on()
        if host.line() == "0":
            return
    raise AssertionError("records stay in memory although the disk is back")


WAITS_FOR_THE_DISK = """
while True:
    wait()
    time.sleep(0.05)
    say(kibitz._setup._outlet.spool.in_memory)
"""


def test_a_disk_that_was_full_gets_the_records_as_soon_as_there_is_room(
    collector: FlakyCollector, hosts: Hosts, volume: Path
) -> None:
    collector.go_away()
    hosts.spool = volume / "spool"
    filler = fill(volume)
    host = hosts.start(
        IMPATIENT + "many(range(500))\nsay(kibitz.flush(0.2))\n" + WAITS_FOR_THE_DISK
    )
    assert host.line() == "FlushResult(sent=0, spooled=500, dropped=0, rejected=0)"
    assert "in memory only" in hosts.kibitz("doctor") or not list(hosts.spool.glob("*/*.seg"))
    filler.unlink()
    wait_until_spooled(hosts, host)
    host.kill()  # nobody can send them but another process
    host.wait()
    collector.come_back()
    hosts.drain()
    collector.is_each_once(set(range(500)))


def test_a_disk_that_becomes_full_changes_nothing_for_the_program(
    collector: FlakyCollector, hosts: Hosts, volume: Path
) -> None:
    collector.go_away()
    hosts.spool = volume / "spool"
    program = (
        IMPATIENT
        + """
@kibitz.flow(path="faults/work")
def work(number):
    return "x" * 3000

for number in range(3000):  # 9 MB on a volume of 6
    assert work(number) == "x" * 3000
say(kibitz.flush(0.2))
wait()
say(kibitz.flush(60))
"""
    )
    host = hosts.start(program)
    assert host.line() == "FlushResult(sent=0, spooled=3000, dropped=0, rejected=0)"
    collector.come_back()
    host.go_on()
    assert host.line() == "FlushResult(sent=3000, spooled=0, dropped=0, rejected=0)"
    host.end()
    collector.is_each_once(set(range(3000)))


def test_what_is_lost_with_the_memory_of_a_program_is_said_and_counted(
    collector: FlakyCollector, hosts: Hosts, volume: Path
) -> None:
    collector.go_away()
    hosts.spool = volume / "spool"
    filler = fill(volume)
    ended = hosts.run('kibitz.init(exit_timeout_s=0.3)\nmany(range(50))\nprint("end", time.time())')
    assert ended.code == 0
    first, last = ended.errors.splitlines()
    assert "records are kept in memory only" in first
    assert "No space left on device" in first
    assert "50 records are lost" in last
    filler.unlink()


def test_loss_in_memory_is_in_the_ledger_if_the_disk_held_one_before(
    collector: FlakyCollector, hosts: Hosts, volume: Path
) -> None:
    collector.go_away()
    hosts.spool = volume / "spool"
    program = (
        IMPATIENT
        + """
many(range(10))
time.sleep(0.3)  # the sender has looked at the disk meanwhile
say("ready")
wait()
for number in range(10, 400):
    kibitz.flow(path="faults/work")(lambda number: "y" * 20000)(number)
"""
    )
    host = hosts.start(program)
    assert host.line() == "ready"
    fill(volume)
    host.go_on()
    host.end()
    (warning,) = doctor(hosts, "dropped")
    dropped = int(warning.split(": ")[1].split()[0])
    assert dropped > 0
    (volume / "filler").unlink()
    collector.come_back()
    hosts.drain()
    assert len(collector.numbers) + dropped == 400


def doctor(hosts: Hosts, about: str) -> list[str]:
    return [line for line in hosts.kibitz("doctor").splitlines() if about in line]


def test_a_read_only_disk_is_no_matter_and_is_used_again_later(
    collector: FlakyCollector, hosts: Hosts, volume: Path
) -> None:
    collector.go_away()
    hosts.spool = volume / "spool"
    remount(volume, "ro")
    host = hosts.start(
        IMPATIENT + "many(range(500))\nsay(kibitz.flush(0.2))\n" + WAITS_FOR_THE_DISK
    )
    assert host.line() == "FlushResult(sent=0, spooled=500, dropped=0, rejected=0)"
    remount(volume, "rw")
    wait_until_spooled(hosts, host)
    host.kill()
    host.wait()
    collector.come_back()
    hosts.drain()
    collector.is_each_once(set(range(500)))


def remount(volume: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", volume], check=True)


def test_a_folder_without_permission_is_no_matter(
    collector: FlakyCollector, hosts: Hosts, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("changing the user needs root")
    program = """
        import email.parser, encodings.idna, http.client  # this user may not read these later
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        kibitz.init()
        many(range(100))
        say(kibitz.flush(60))
    """
    hosts.spool.mkdir(mode=0o500)
    ended = hosts.run(program)
    (error,) = ended.errors.splitlines()
    assert "Permission denied" in error
    assert "FlushResult(sent=100, spooled=0, dropped=0, rejected=0)" in ended.out


def test_a_spool_folder_deleted_under_a_running_program_loses_nothing(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    collector.go_away()
    program = """
        kibitz.init()
        many(range(300))
        say("ready")
        wait()
        spool = kibitz._setup._outlet.spool
        while not list(spool.target.directory.glob("*.seg")):
            time.sleep(0.01)
        many(range(300, 400))
        while spool.in_memory or any(
            not segment.path.exists() and not segment.is_delivered()
            for segment in list(spool.segments)
        ):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    host = hosts.start("import kibitz._setup\n" + __import__("textwrap").dedent(program))
    assert host.line() == "ready"
    shutil.rmtree(hosts.spool)
    host.go_on()
    assert host.wait(60) == -9
    collector.come_back()
    hosts.drain()
    collector.is_each_once(set(range(400)))


@pytest.mark.parametrize("name", ["with blanks and 'quotes'", "漢字-é-🙂", "a" * 200])
def test_a_folder_of_any_name_will_do(collector: FlakyCollector, hosts: Hosts, name: str) -> None:
    hosts.spool = hosts.spool / name
    host = hosts.start("kibitz.init()\nmany(range(50))\nos._exit(0)")
    host.end()
    hosts.drain()
    collector.is_each_once(set(range(50)))


def test_ten_times_the_cap_keeps_to_the_cap_and_counts_each_loss(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    cap, segment = 4 * 2**20, 2**18
    program = """
        kibitz.init(spool_max_bytes=int(sys.argv[1]), segment_bytes=int(sys.argv[2]))
        @kibitz.flow(path="faults/work")
        def work(number):
            return "z" * 4000
        for number in range(10_000):
            work(number)
            if number % 1000 == 0:
                say(number)
        print(*[getattr(kibitz.flush(0.1), name) for name in ("sent", "spooled", "dropped")])
        sys.stdout.flush()
        wait()
        print(*[getattr(kibitz.flush(60), name) for name in ("sent", "spooled", "dropped")])
        sys.stdout.flush()
        wait()
    """
    collector.go_away()
    host = hosts.start(program, cap, segment)
    for _ in range(10):
        host.line()
        assert _directory.usage_bytes(hosts.spool) <= cap + segment
    sent, spooled, dropped = map(int, host.line().split())
    assert (sent, spooled + dropped) == (0, 10_000)
    assert dropped > 0
    assert _directory.usage_bytes(hosts.spool) <= cap + segment
    collector.come_back()
    host.go_on()
    assert [int(each) for each in host.line().split()] == [spooled, 0, dropped]
    assert len(collector.numbers) == spooled
    (warning,) = doctor(hosts, "dropped")
    assert f"{dropped} dropped" in warning
    assert f"{without_bodies(collector)} kept without their bodies" in warning
    host.go_on()
    host.end()
    assert doctor(hosts, f"{dropped} dropped")  # still told when it has ended


def without_bodies(collector: FlakyCollector) -> int:
    """How many arrived with names, ids and times, but without their long texts."""
    return sum(
        span["endTimeUnixNano"] != "0"
        and "kibitz.truncated" in {item["key"] for item in span["attributes"]}
        for span in collector.spans
    )
