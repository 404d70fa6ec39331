"""`kibitz pull`: write a collector's Prompts and Agents as .prompt and .agent files."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kibitz.cli.connecting import add_collector, complain, connect
from kibitz.client import promptfiles
from kibitz.client.promptfiles import Outcome
from kibitz.errors import KibitzError

_MARKS = {"new": "+", "changed": "~", "deployed": "^", "same": "=", "failed": "!"}


def main(argv: list[str]) -> int:
    """Pull; 0 if all went well, 1 if a file failed, 2 if nothing could be done."""
    parser = argparse.ArgumentParser(prog="kibitz pull", description=__doc__)
    parser.add_argument("path", nargs="?", help="a directory or a File; else all")
    parser.add_argument("--environment", help="what is deployed there; else the default one")
    add_folder_and_more(parser)
    arguments = parser.parse_args(argv)
    try:
        outcomes = promptfiles.pull(
            connect(arguments),
            arguments.folder,
            arguments.path,
            environment=arguments.environment,
            is_dry_run=arguments.dry_run,
        )
        return tell(outcomes, arguments)
    except KibitzError as error:
        return complain("pull", error)


def add_folder_and_more(parser: argparse.ArgumentParser) -> None:
    """Add the flags that pull and push share."""
    parser.add_argument(
        "--folder", type=Path, default=Path("."), help="where the files are (default: here)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    parser.add_argument("--diff", action="store_true", help="show what changes in each file")
    parser.add_argument("--quiet", action="store_true", help="say nothing of what is unchanged")
    add_collector(parser)


def tell(outcomes: Iterable[Outcome], arguments: argparse.Namespace) -> int:
    """Print a line for each file as it comes, and the sum; returns the exit code."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts[outcome.change] += 1
        if outcome.change == "same" and arguments.quiet:
            continue
        added, removed = _lines(outcome.diff)
        size = f"  +{added} -{removed} lines" if outcome.diff else ""
        print(f"{_MARKS[outcome.change]} {outcome.name}  {outcome.remark}{size}", flush=True)
        if arguments.diff and outcome.diff:
            print(outcome.diff)
    words = [f"{counts[change]} {change}" for change in _MARKS if counts[change]]
    note = " (dry run: nothing was written)" if arguments.dry_run else ""
    print(f"{', '.join(words) or 'no files'}{note}")
    return 1 if counts["failed"] else 0


def _lines(diff: str) -> tuple[int, int]:
    body = diff.splitlines()[2:]
    return sum(one[:1] == "+" for one in body), sum(one[:1] == "-" for one in body)
