"""`kibitz spool show|drain|export`: looks at, sends, or writes out what waits on this machine."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from kibitz import _directory
from kibitz._batch import body_of, parts_of
from kibitz._ledger import Counts, Ledger, read_ledgers
from kibitz._segment import NewerFormat, Scan, open_header
from kibitz._sender import Sender
from kibitz._spool import Spool, Target
from kibitz.config import Settings, load
from kibitz.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Content:
    """What is in one spool file."""

    path: Path
    process: str
    pid: int
    created_ns: int
    waiting: int
    damaged: int
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one process's records, from its ledger and what waits in its files."""

    name: str
    is_alive: bool
    counts: Counts
    waiting: int
    lost: int  # neither sent nor anywhere: in memory only as the process died, or damaged

    @property
    def complaints(self) -> list[str]:
        """Every kind of loss, as text."""
        told = [
            (self.counts.dropped, "dropped (no room, or too old)"),
            (self.counts.rejected, "rejected by the collector"),
            (self.lost, "lost with the process"),
            (self.counts.slimmed, "kept without their bodies (the spool was full)"),
        ]
        return [f"{count} {what}" for count, what in told if count]


def accounts_of(directory: Path, found: Iterable[Content]) -> list[Account]:
    """The accounts of all processes that run, or ended with something to tell."""
    waiting: dict[str, int] = {}
    for item in found:
        waiting[item.process] = waiting.get(item.process, 0) + item.waiting
    return [
        _account_of(ledger, waiting.get(ledger.process, 0)) for ledger in read_ledgers(directory)
    ]


def _account_of(ledger: Ledger, on_disk: int) -> Account:
    """Put a ledger and what waits in the same process's files together."""
    counts = ledger.counts
    settled = counts.sent + counts.rejected + counts.dropped
    # The last tenth of a second before a kill is only in the files.
    counts = replace(counts, produced=max(counts.produced, settled + on_disk))
    open_count = max(0, counts.produced - settled)
    is_alive = ledger.is_alive
    waiting = open_count if is_alive else on_disk
    name = f"{ledger.service or '?'}, pid {ledger.pid} ({'running' if is_alive else 'ended'})"
    return Account(name, is_alive, counts, waiting, max(0, open_count - waiting))


def main(argv: list[str]) -> int:
    """Run one of show, drain, export; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz spool", description=__doc__)
    parser.add_argument("--collector", help="URL; else KIBITZ_COLLECTOR")
    parser.add_argument("--spool-dir", help="folder; else KIBITZ_SPOOL_DIR")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("show", help="list the files of every collector and what waits in them")
    drain = actions.add_parser("drain", help="send what ended processes left")
    drain.add_argument("--timeout-s", type=float, default=60.0, help="give up after this long")
    export = actions.add_parser("export", help="write OTLP/JSON request bodies, one per line")
    export.add_argument("file", help="where to; - for standard output")
    arguments = parser.parse_args(argv)
    try:
        settings = load(collector=arguments.collector, spool_dir=arguments.spool_dir)
    except ConfigError as error:
        print(f"kibitz spool: {error}", file=sys.stderr)
        return 2
    base = _directory.base_directory(settings.spool_dir, os.environ)
    target = Target(settings.collector, settings.api_key, base)
    if arguments.action == "show":
        return _show(base)
    if arguments.action == "drain":
        return _drain(settings, target, arguments.timeout_s)
    return _export(target, arguments.file)


def contents(directory: Path) -> Iterator[Content]:
    """Read what waits in each file of one collector's folder, without changing anything."""
    for path in sorted(directory.glob("*.seg")):
        try:
            data = path.read_bytes()
            opened = open_header(data)
        except (OSError, NewerFormat):
            continue
        if opened is None:
            yield Content(path, "?", 0, 0, 0, 1, False)
            continue
        scan = Scan(data, opened.start)
        waiting = len(list(scan))
        header = opened.header
        damaged = scan.damaged + opened.is_damaged
        alive = _directory.is_alive(header)
        yield Content(path, header.process, header.pid, header.created_ns, waiting, damaged, alive)


def _show(base: Path) -> int:
    folders = sorted(path for path in base.glob("*") if path.is_dir())
    if not folders:
        print(f"{base}: no spool yet")
    for folder in folders:
        print(f"{folder}  {_directory.usage_bytes(folder) / 2**20:.0f} MB")
        for item in contents(folder):
            owner = "running" if item.is_alive else "ended"
            age_s = (time.time_ns() - item.created_ns) / 1e9
            flaw = f", {item.damaged} damaged places" if item.damaged else ""
            print(
                f"  {item.path.name}  pid {item.pid} ({owner}), {age_s:.0f} s old, "
                f"{item.waiting} waiting{flaw}"
            )
        _show_ledgers(folder)
        for room in ("rejected", "quarantine"):
            for path in sorted((folder / room).glob("*")):
                print(f"  {room}/{path.name}{_reason(path)}")
    return 0


def _show_ledgers(folder: Path) -> None:
    for account in accounts_of(folder, contents(folder)):
        counts = account.counts
        told = [
            f"{counts.produced} produced",
            f"{counts.sent} sent",
            f"{account.waiting} waiting",
            *account.complaints,
        ]
        print(f"  {account.name}: {', '.join(told)}")


def _reason(path: Path) -> str:
    if path.suffix != ".json":
        return ""
    try:
        return f"  {orjson.loads(path.read_bytes())['reason'][:200]}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _drain(settings: Settings, target: Target, timeout_s: float) -> int:
    if not target.directory.is_dir():
        print(f"nothing waits for {target.collector} (with this key)")
        return 0
    spool = Spool(settings, target, {"attributes": []}, "")
    sender = Sender(spool, settings, "kibitz-spool")
    deadline = time.monotonic() + timeout_s
    told = 0
    while time.monotonic() < deadline and not sender.has_adopted_all:
        sender.run_once()
        if sender.tally.adopted != told:
            told = sender.tally.adopted
            print(f"sent {told}", file=sys.stderr)
        time.sleep(0.05)
    sender.release()
    spool.finish()
    waiting = sum(item.waiting for item in contents(target.directory) if not item.is_alive)
    print(f"sent {sender.tally.adopted}, {waiting} still wait")
    return 0 if waiting == 0 else 1


def _export(target: Target, file: str) -> int:
    count = 0
    with open(sys.stdout.fileno() if file == "-" else file, "wb", closefd=file != "-") as out:
        for path in sorted(target.directory.glob("*.seg")):
            try:
                data = path.read_bytes()
                opened = open_header(data)
            except (OSError, NewerFormat) as error:
                print(f"{path.name}: {error}", file=sys.stderr)
                continue
            if opened is None:
                continue
            records = list(Scan(data, opened.start))
            resource = orjson.dumps(opened.header.resource)
            for part in parts_of(records):
                out.write(body_of(part.path, resource, part.slices[0].records) + b"\n")
            count += len(records)
    print(f"wrote {count} records", file=sys.stderr)
    return 0
