"""`kibitz doctor`: tells the settings, what waits in the spool, and if the collector answers."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from kibitz import _directory
from kibitz._record import VERSION
from kibitz._sidecar import known_url
from kibitz._spool import Target
from kibitz._transport import Transport, Unreachable
from kibitz.cli.spool import Content, accounts_of, contents
from kibitz.config import Settings, describe, load
from kibitz.errors import ConfigError

_EMPTY = b'{"resourceSpans":[]}'


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    mark: Literal["ok", "warn", "fail"]
    text: str


def main(argv: list[str]) -> int:
    """Print the report; 0 if nothing failed, 1 if something did, 2 for a wrong setting."""
    parser = argparse.ArgumentParser(prog="kibitz doctor", description=__doc__)
    parser.add_argument("--collector", help="URL; else KIBITZ_COLLECTOR")
    parser.add_argument("--spool-dir", help="folder; else KIBITZ_SPOOL_DIR")
    parser.add_argument("--settings", action="store_true", help="list every setting and its value")
    arguments = parser.parse_args(argv)
    try:
        settings = load(collector=arguments.collector, spool_dir=arguments.spool_dir)
    except ConfigError as error:
        print(f"kibitz doctor: {error}", file=sys.stderr)
        return 2
    if arguments.settings:
        for name, variable, default, unit, text in describe():
            shown = "(set)" if name == "api_key" and settings.api_key else getattr(settings, name)
            print(
                f"{name} = {shown!r}  [{variable}, default {default or '-'}] {text} {unit}".rstrip()
            )
        return 0
    findings = list(examine(settings))
    for finding in findings:
        print(f"{finding.mark:>4}  {finding.text}")
    return 1 if any(finding.mark == "fail" for finding in findings) else 0


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything a record meets on its way."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", f"kibitz {VERSION}, Python {python}, service {settings.service}")
    if settings.collector.startswith("sqlite:"):
        url = known_url(settings.collector)
        if url is None:
            yield Finding("ok", f"collector {settings.collector}: init() will start it")
            return
        settings = replace(settings, collector=url)
    base = _directory.base_directory(settings.spool_dir, os.environ)
    target = Target(settings.collector, settings.api_key, base)
    yield from _examine_spool(settings, target)
    yield _examine_collector(settings)


def _examine_spool(settings: Settings, target: Target) -> Iterator[Finding]:
    if settings.durability == "memory":
        yield Finding("warn", 'durability is "memory": what is not sent dies with the process')
        return
    reason = _directory.prepare(target.directory)
    if reason:
        yield Finding("fail", f"spool: records stay in memory only: {reason}")
        return
    mount = _directory.mount_of(target.directory)
    where = f" ({mount[1]} at {mount[0]})" if mount else ""
    yield Finding("ok", f"spool {target.directory}{where}")
    if mount is not None and mount[1] == "overlay":
        yield Finding(
            "warn",
            "the spool is inside a container's own layer and goes with it; mount a volume there "
            "(KIBITZ_SPOOL_DIR)",
        )
    yield from _examine_contents(settings, target)


def _examine_contents(settings: Settings, target: Target) -> Iterator[Finding]:
    found = list(contents(target.directory))
    used = _directory.usage_bytes(target.directory)
    share = used / settings.spool_max_bytes
    yield Finding(
        "warn" if share > 0.8 else "ok",
        f"spool uses {used / 2**20:.0f} of {settings.spool_max_bytes / 2**20:.0f} MB, "
        f"{sum(item.waiting for item in found)} records wait in {len(found)} files",
    )
    yield from _examine_oldest(found)
    yield from _examine_ledgers(target, found)
    for room in ("rejected", "quarantine"):
        folder = target.directory / room
        count = len(list(folder.iterdir())) if folder.is_dir() else 0
        if count:
            yield Finding("warn", f"{count} files in {folder}; see `kibitz spool show`")


def _examine_ledgers(target: Target, found: list[Content]) -> Iterator[Finding]:
    """What became of the records of every process that runs, or ended with a loss."""
    accounts = accounts_of(target.directory, found)
    if not accounts:
        return
    running = sum(account.is_alive for account in accounts)
    yield Finding(
        "ok",
        f"{running} processes run, {len(accounts) - running} have ended of late: "
        f"{sum(account.counts.produced for account in accounts)} records produced, "
        f"{sum(account.counts.sent for account in accounts)} sent, "
        f"{sum(account.waiting for account in accounts)} wait",
    )
    for account in accounts:
        if account.complaints:
            yield Finding("warn", f"{account.name}: {', '.join(account.complaints)}")


def _examine_oldest(found: list[Content]) -> Iterator[Finding]:
    waiting = [item.created_ns for item in found if item.waiting and not item.is_alive]
    if waiting:
        age_s = (time.time_ns() - min(waiting)) / 1e9
        yield Finding(
            "warn",
            f"records of ended processes wait since {age_s:.0f} s; the next process sends "
            "them, or `kibitz spool drain`",
        )


def _examine_collector(settings: Settings) -> Finding:
    transport = Transport(
        settings.collector, settings.api_key, timeout_s=5.0, agent="kibitz-doctor"
    )
    started = time.perf_counter()
    try:
        reply = transport.post("/v1/traces", _EMPTY, {})
    except Unreachable as error:
        return Finding(
            "fail",
            f"collector {settings.collector} does not answer ({error}); start `kibitz serve`",
        )
    finally:
        transport.close()
    took_ms = (time.perf_counter() - started) * 1e3
    if 200 <= reply.status < 300:
        return Finding("ok", f"collector {settings.collector} answers in {took_ms:.0f} ms")
    what = (
        "the api_key is refused"
        if reply.status in (401, 403)
        else "is this an OTLP/HTTP collector?"
    )
    return Finding("fail", f"collector {settings.collector} answers HTTP {reply.status}: {what}")
