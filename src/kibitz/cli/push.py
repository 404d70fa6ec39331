"""`kibitz push`: make Versions of .prompt and .agent files, and deploy them if wanted."""

from __future__ import annotations

import argparse

from kibitz.cli.connecting import complain, connect
from kibitz.cli.pull import add_folder_and_more, tell
from kibitz.client import promptfiles
from kibitz.errors import KibitzError


def main(argv: list[str]) -> int:
    """Push; 0 if all went well, 1 if a file failed, 2 if nothing could be done."""
    parser = argparse.ArgumentParser(prog="kibitz push", description=__doc__)
    parser.add_argument("path", nargs="?", help="a file, or a folder below --folder; else all")
    parser.add_argument(
        "--environment",
        help="deploy there; without it, only the first Version of a new File is in use at once",
    )
    add_folder_and_more(parser)
    arguments = parser.parse_args(argv)
    try:
        outcomes = promptfiles.push(
            connect(arguments),
            arguments.folder,
            arguments.path,
            environment=arguments.environment,
            is_dry_run=arguments.dry_run,
        )
        return tell(outcomes, arguments)
    except KibitzError as error:
        return complain("push", error)
