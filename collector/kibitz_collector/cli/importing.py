"""`kibitz import`: take over what another product has exported; again goes on where it ended."""

import argparse
import sys
from pathlib import Path

from kibitz.client.progress import Progress
from kibitz_collector.cli.arguments import add_settings, read_settings
from kibitz_collector.errors import CollectorError
from kibitz_collector.imports.export import find_exported_files
from kibitz_collector.imports.humanloop import Import, Report
from kibitz_collector.store import open_store
from kibitz_collector.workers import own_prices

_MOST_SHOWN = 20


def main(argv: list[str]) -> int:
    """Import; 0: everything is there, 1: something could not be read, 2: nothing could be done."""
    parser = argparse.ArgumentParser(prog="kibitz import", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    humanloop = kinds.add_parser(
        "humanloop-export",
        help="a folder that Humanloop's export tool wrote",
        description="Files, Versions, deployments, Logs and evaluations keep their ids. Nothing "
        "that is imported is judged; Evaluators that would be run here are attached to their "
        "Files, and wait to be switched on.",
    )
    humanloop.add_argument("folder", type=Path, help="such as exports/20250605-120000")
    add_settings(humanloop, ["database_url", "prices_file"])
    arguments = parser.parse_args(argv)
    try:
        settings = read_settings(arguments)
        folders = find_exported_files(arguments.folder)
        store = open_store(settings.database_url, match_monitors=False)
        try:
            with Progress(3 * len(folders)) as progress:
                work = Import(store, 1, own_prices(settings), progress.step)
                report = work.run(folders)
        finally:
            store.close()
    except CollectorError as error:
        print(f"kibitz import: {error.message}", file=sys.stderr)
        return 2
    tell(report)
    return 1 if report.problems else 0


def tell(report: Report) -> None:
    """Print what was done, and what could not be."""
    for what in sorted({*report.new, *report.known}):
        known = f", {report.known[what]} were there" if report.known[what] else ""
        print(f"{report.new[what]:>8} {what}{known}")
    for problem in report.problems[:_MOST_SHOWN]:
        print(f"kibitz import: {problem}", file=sys.stderr)
    rest = len(report.problems) - _MOST_SHOWN
    if rest > 0:
        print(f"kibitz import: … and {rest} more", file=sys.stderr)
    if report.problems:
        print("Mend these and import again: what is there stays as it is.", file=sys.stderr)
