"""A collector in this process, on a socket of its own: started in a tenth of a process's time."""

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from kibitz_collector.app import create_app, stop_soon
from kibitz_collector.cli.arguments import add_settings, read_settings
from kibitz_collector.cli.serve import address_of, take_port


@dataclass(frozen=True, slots=True)
class Hosted:
    """A running collector."""

    url: str

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20)


@contextmanager
def hosting(*flags: str) -> Iterator[Hosted]:
    """Run a collector with these flags of `kibitz serve`, its workers included."""
    parser = argparse.ArgumentParser()
    add_settings(parser)
    app = create_app(read_settings(parser.parse_args(flags)))
    listener = take_port("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield Hosted(address_of(listener))
    finally:
        stop_soon(app)
        server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()
