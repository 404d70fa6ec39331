"""The local collector, able to go away and come back at its address."""

import random
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from tests.kibitz.local_collector import Answer, LocalCollector, Request


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A program that was killed breaks its connection: that is no news."""


class FlakyCollector(LocalCollector):
    """Refuses connections while it is away, and cuts those that are open."""

    def __init__(self) -> None:
        self.is_away = False
        super().__init__()
        self.port = self._server.server_address[1]
        # Bound but never listening: nobody else gets the port, and connecting to it is refused.
        self._placeholder = socket.socket()
        self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._go(is_away=True)
        self._placeholder.bind(("127.0.0.1", self.port))
        self.come_back()

    def go_away(self) -> None:
        if not self.is_away:
            self._go(is_away=True)

    def _go(self, *, is_away: bool) -> None:
        self.is_away = is_away
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def come_back(self) -> None:
        if not self.is_away:
            return
        self.is_away = False
        self._server = _QuietServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @contextmanager
    def flapping(self, seed: int) -> Iterator[None]:
        """Away and back again, for a few hundred milliseconds each, until the block ends."""
        is_over = threading.Event()
        chance = random.Random(seed)

        def flap() -> None:
            while not is_over.wait(chance.uniform(0.05, 0.4)):
                self.go_away()
                is_over.wait(chance.uniform(0.05, 0.4))
                self.come_back()

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self.come_back()

    def take(self, request: Request) -> Answer:
        if self.is_away:
            return Answer(does_store=False, does_reset=True)
        return super().take(request)

    def close(self) -> None:
        self.come_back()
        super().close()
        self._placeholder.close()

    # --- what arrived

    def copies(self) -> dict[int, set[tuple[str, str]]]:
        """For each number a program has worked on, the ids it arrived under: once is one."""
        found: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for span in self.spans:
            number = number_of(span)
            if number is not None:
                found[number].add((span["traceId"], span["spanId"]))
        return found

    def pids(self) -> dict[int, int]:
        """For each number, the process it is said to come from."""
        with self.changed:
            return {
                number: request.pid
                for request in self.stored
                for span in request.spans
                if (number := number_of(span)) is not None
            }

    @property
    def numbers(self) -> set[int]:
        return set(self.copies())

    def is_each_once(self, expected: set[int]) -> None:
        """Assert that every number arrived, none under two ids."""
        copies = self.copies()
        missing = sorted(expected - copies.keys())
        assert not missing, f"{len(missing)} of {len(expected)} are lost: {missing[:10]}"
        doubled = {number: ids for number, ids in copies.items() if len(ids) > 1}
        assert not doubled, f"{len(doubled)} are doubled"


def number_of(span: dict[str, Any]) -> int | None:
    """The number a finished call has worked on; None for others, and the records of starts."""
    if span["endTimeUnixNano"] == "0":
        return None
    for item in span["attributes"]:
        if item["key"] == "kibitz.log.inputs":
            name, _, number = item["value"]["stringValue"].partition(":")
            return int(number.rstrip("}")) if name == '{"number"' else None
    return None
