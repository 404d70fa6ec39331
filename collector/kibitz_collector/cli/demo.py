"""`kibitz demo`: a sample app with real traffic, judged and alerted on; `--once` checks it."""

import argparse
import os
import socket
import sys

from kibitz_collector.demo.story import Options, tell
from kibitz_collector.errors import SetupError

_PORT = 4318
# What can be taken away, to see that the checks notice.
_WITHOUT = {
    "evaluator": "--no-evaluate",
    "monitor": "--no-match-monitors",
    "alert": "--no-alert",
}


def main(argv: list[str]) -> int:
    """Tell the story; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="check what arrived, then exit")
    parser.add_argument(
        "--port", type=int, help=f"collector's port (default: {_PORT}, or a free one)"
    )
    parser.add_argument("--database-url", help="keep the data there (default: a temporary file)")
    parser.add_argument("--base-url", help="an OpenAI-compatible server instead of the stand-in")
    parser.add_argument("--model", default="gpt-4o-mini", help="model name (default: gpt-4o-mini)")
    parser.add_argument(
        "--without", action="append", choices=sorted(_WITHOUT), default=[], help="switch a part off"
    )
    arguments = parser.parse_args(argv)
    options = Options(
        port=arguments.port if arguments.port is not None else _usual_or_free_port(),
        database_url=arguments.database_url,
        base_url=arguments.base_url or os.environ.get("OPENAI_BASE_URL"),
        api_key=os.environ.get("OPENAI_API_KEY"),
        model=arguments.model,
        is_once=arguments.once,
        flags=[_WITHOUT[name] for name in arguments.without],
    )
    try:
        return tell(options, lambda text: print(text, flush=True))
    except SetupError as error:
        print(f"kibitz demo: {error.message}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _usual_or_free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            return 0
    return _PORT
