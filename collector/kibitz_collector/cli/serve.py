"""`kibitz serve`: API, OTLP, pages, evaluators and alerts in one process."""

import argparse
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from kibitz_collector.access.http import is_loopback
from kibitz_collector.app import create_app, stop_soon
from kibitz_collector.background import Loop
from kibitz_collector.cli.arguments import add_settings, read_settings
from kibitz_collector.cli.unused import Unused
from kibitz_collector.config import Settings
from kibitz_collector.errors import SetupError
from kibitz_collector.store import Store, open_store
from kibitz_collector.store.queries import keys as key_queries

_TALKATIVE = (
    *("openai", "anthropic", "google_genai", "google.auth", "cohere", "replicate"),
    *("boto3", "botocore", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2"),
)


def main(argv: list[str]) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz serve", description=__doc__)
    add_settings(parser)
    try:
        settings = read_settings(parser.parse_args(argv))
        return serve(settings)
    except SetupError as error:
        print(f"kibitz serve: {error.message}", file=sys.stderr)
        return error.exit_code


def serve(settings: Settings) -> int:
    """Open the database, take the port, answer requests.

    Raises: SetupError: the port or the database cannot be used; one line says why.
    """
    start_logging(settings)
    listener = take_port(settings.host, settings.port)
    store = open_store(
        settings.database_url,
        match_monitors=settings.match_monitors,
        max_pending_bytes=settings.max_pending_bytes,
    )
    try:
        _refuse_open_door(store, settings.host)
        app = create_app(settings, store)
        server = _Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, round(settings.grace_s)),
                # Proxy headers are ours to judge: see access/http.py.
                proxy_headers=False,
            )
        )
        server.on_signal = lambda: stop_soon(app)
        if settings.used_by is not None:
            unused = Unused(Path(settings.used_by), settings.unused_s)
            loop = Loop("unused", lambda: _end_unused(server, unused), poll_s=1.0)
            loop.start()
        # Everything alive now lives as long as the process: a collection that walks it again and
        # again costs half of decoding (measured: 63-112 µs a span with, 31-42 without).
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        print(f"kibitz is watching at {address_of(listener)}  ({shown(settings)})", flush=True)
        server.run(sockets=[listener])
        return 0 if server.started else 1
    finally:
        store.close()
        listener.close()


def _end_unused(server: "_Server", unused: Unused) -> bool:
    if unused.look(server.server_state.total_requests):
        server.handle_exit(signal.SIGTERM, None)
    return False


def start_logging(settings: Settings) -> None:
    """Send what the collector says to its error stream."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # What a migration says is for whoever asks: one line must be able to say why we cannot start.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.root.level))
    # What these say holds prompts, answers, and sometimes keys.
    for package in _TALKATIVE:
        logging.getLogger(package).setLevel(max(logging.WARNING, logging.root.level))


class _Server(uvicorn.Server):
    """Ends with code 0 when asked to: uvicorn's own would raise the signal again afterwards."""

    on_signal: Callable[[], None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new connections, let streams and workers end at once, requests in their time."""
        super().handle_exit(sig, frame)
        if self.on_signal is not None:
            self.on_signal()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def take_port(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port costs nothing.

    Raises: SetupError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise SetupError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "stop the other process or choose another with --port (0: any free one)"
        ) from None
    listener.listen(2048)
    listener.set_inheritable(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL a bound socket answers at."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}"


def _refuse_open_door(store: Store, host: str) -> None:
    if is_loopback(host):
        return
    with store.read() as session:
        if not key_queries.active_keys(session):
            raise SetupError(
                f"--host {host} is reachable by others and there are no API keys; "
                "make one with `kibitz keys create NAME`, or listen on 127.0.0.1"
            )


def shown(settings: Settings) -> str:
    """Return the database's URL without its password."""
    scheme, _, rest = settings.database_url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
