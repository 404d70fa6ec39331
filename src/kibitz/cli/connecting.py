"""Flags by which commands of the SDK find their collector, and how they say that they failed."""

from __future__ import annotations

import argparse
import sys

from kibitz.client.connection import Connection, connection_for
from kibitz.config import load


def add_collector(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which collector to talk to."""
    parser.add_argument("--collector", help="URL; else KIBITZ_COLLECTOR, else this machine's")
    parser.add_argument("--api-key", help="a key with role full; else KIBITZ_API_KEY")


def connect(arguments: argparse.Namespace) -> Connection:
    """Return the connection the flags name.

    Raises: ConfigError.
    """
    return connection_for(load(collector=arguments.collector, api_key=arguments.api_key))


def complain(command: str, error: Exception | str) -> int:
    """Say why a command ends; returns its exit code."""
    print(f"kibitz {command}: {error}", file=sys.stderr)
    return 2
