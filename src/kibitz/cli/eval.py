"""`kibitz eval`: run a program's evaluations, and fail if they are not as good as asked for."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from pathlib import Path

import orjson

from kibitz.cli.connecting import complain
from kibitz.client import evaluations
from kibitz.errors import ChecksFailed, KibitzError

FAILED, UNUSABLE = 1, 2


def main(argv: list[str]) -> int:
    """Run the program; 0: all checks are met, 1: one is not, 2: nothing could be evaluated."""
    parser = argparse.ArgumentParser(
        prog="kibitz eval",
        description=__doc__,
        epilog="What follows -- is the program's own.",
    )
    parser.add_argument("program", type=Path, help="a Python file that calls kibitz.evaluate")
    parser.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="PATH=LIMIT",
        help="an evaluator's least score, or such as 'errors=<=0.1'; beside those in the program",
    )
    parser.add_argument("--json", type=Path, help="write the sums there")
    parser.add_argument("--collector", help="URL; else KIBITZ_COLLECTOR, else this machine's")
    parser.add_argument("--api-key", help="a key with role full; else KIBITZ_API_KEY")
    own, _, program_s = _split(argv)
    arguments = parser.parse_args(own)
    try:
        limits = dict(_read_limit(text) for text in arguments.check)
    except ValueError as error:
        return complain("eval", error)
    if not arguments.program.is_file():
        return complain("eval", f"there is no file {arguments.program}")
    for name in ("collector", "api_key"):
        if getattr(arguments, name):
            os.environ[f"KIBITZ_{name.upper()}"] = getattr(arguments, name)
    evaluations.extra_checks.update(limits)
    code = _run(arguments.program, program_s)
    if arguments.json is not None:
        sums = [result.as_dict() for result in evaluations.results]
        arguments.json.write_bytes(orjson.dumps(sums, option=orjson.OPT_INDENT_2))
    if code == 0 and not evaluations.results:
        return complain("eval", f"{arguments.program} has evaluated nothing")
    unused = {check.name for result in evaluations.results for check in result.checks}
    missing = limits.keys() - unused
    if code == 0 and missing:
        return complain("eval", f"--check {', '.join(sorted(missing))}: no evaluator is called so")
    return code


def _split(argv: list[str]) -> tuple[list[str], str, list[str]]:
    if "--" not in argv:
        return argv, "", []
    at = argv.index("--")
    return argv[:at], "--", argv[at + 1 :]


def _read_limit(text: str) -> tuple[str, str]:
    name, equals, limit = text.partition("=")
    if not (name and equals and limit):
        raise ValueError(f"--check {text!r} must be PATH=LIMIT, such as support/is_polite=0.9")
    has_operator = limit[0] in "<>="
    return name, limit if has_operator else f">= {limit}"


def _run(program: Path, arguments: list[str]) -> int:
    """Run the program as Python would; returns the exit code."""
    before, path_before = sys.argv, list(sys.path)
    sys.argv = [str(program), *arguments]
    sys.path.insert(0, str(program.resolve().parent))
    try:
        runpy.run_path(str(program), run_name="__main__")
    except ChecksFailed as error:
        print(f"kibitz eval: {error}", file=sys.stderr)
        return FAILED
    except KibitzError as error:
        return complain("eval", error)
    except SystemExit as error:
        return _code_of(error)
    except Exception:
        traceback.print_exc()
        return UNUSABLE
    finally:
        sys.argv, sys.path[:] = before, path_before
    return 0


def _code_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return FAILED
