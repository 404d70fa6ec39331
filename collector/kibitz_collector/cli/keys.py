"""`kibitz keys`: make, list and revoke API keys."""

import argparse
import sys
from datetime import UTC, datetime

from kibitz_collector.access.keys import ROLES, make_key
from kibitz_collector.cli.arguments import add_settings, read_settings
from kibitz_collector.errors import CollectorError, SetupError
from kibitz_collector.store import Store, open_store
from kibitz_collector.store.queries import keys as key_queries
from kibitz_collector.store.writes import keys as key_writes


def main(argv: list[str]) -> int:
    """Run one of create, list, revoke; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        store = open_store(read_settings(arguments).database_url)
    except SetupError as error:
        print(f"kibitz keys: {error.message}", file=sys.stderr)
        return error.exit_code
    try:
        match arguments.action:
            case "create":
                _create(store, arguments.name, arguments.role)
            case "revoke":
                _revoke(store, arguments.id)
            case _:
                _list(store)
    except CollectorError as error:
        print(f"kibitz keys: {error.message}", file=sys.stderr)
        return 1
    finally:
        store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kibitz keys", description=__doc__)
    add_settings(parser, ["database_url"])
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key; its text is shown this once")
    create.add_argument("name", help="who or what will use it")
    create.add_argument(
        "--role", choices=ROLES, default="full", help="ingest: may only send; full: everything"
    )
    actions.add_parser("list", help="show the keys, without their text")
    revoke = actions.add_parser("revoke", help="make a key useless at once")
    revoke.add_argument("id", help="the key's id, from `kibitz keys list`")
    return parser


def _create(store: Store, name: str, role: str) -> None:
    key = make_key()
    with store.write() as session:
        key_writes.create_key(session, 1, name=name, role=role, key_hash=key.hash, hint=key.hint)
    print(key.text)
    print("Keep it: only its hash is stored. Send it as header X-API-KEY.", file=sys.stderr)


def _revoke(store: Store, key_id: str) -> None:
    with store.write() as session:
        key_writes.revoke_key(session, 1, key_id)
    print(f"{key_id} is revoked")


def _list(store: Store) -> None:
    with store.read() as session:
        keys = key_queries.list_keys(session, 1)
    if not keys:
        print("No keys: the collector answers only on this machine, to everybody on it.")
    for key in keys:
        made = datetime.fromtimestamp(key.created_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
        state = "revoked" if key.revoked_ns else "in force"
        print(f"{key.id}  {key.role:6}  {state:8}  {key.hint}  {made}  {key.name}")
