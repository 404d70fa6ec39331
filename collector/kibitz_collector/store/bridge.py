"""Carries wake-ups between the collectors and workers of one PostgreSQL database.

A wake-up says that there is something to look for, never what: whoever misses one finds the same
rows at its next poll. NOTIFY inside the ingest transactions would serialise their commits, so it
has a connection and a thread of its own, and says what has gathered at most ten times a second.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
log = logging.getLogger("kibitz.collector")

CHANNEL = "kibitz"
SAY_EVERY_S = 0.1
_LOOK_EVERY_S = 30.0
_RECONNECT_S = 1.0


class Bridge:
    """One process's ear and mouth; started by the first use."""

    def __init__(self, connect: Callable[[], Connection], hear: Callable[[str], None]) -> None:
        self._connect = connect
        self._hear = hear
        self._lock = threading.Lock()
        self._topics: set[str] = set()  # all that were ever of interest here
        self._unsaid: set[str] = set()
        self._ours, self._bell = socket.socketpair()
        self._ours.setblocking(False)
        self._bell.setblocking(False)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, topic: str) -> None:
        """Hear of a topic from now on; returns at once."""
        with self._lock:
            self._topics.add(topic)
        self._start()

    def say(self, topic: str) -> None:
        """Tell the other processes soon; returns at once."""
        with self._lock:
            is_first = not self._unsaid
            self._unsaid.add(topic)
        self._start()
        if is_first:
            self._ring()

    def close(self) -> None:
        """Say what is unsaid, if that is possible at once, and end."""
        self._stop.set()
        self._ring()
        if self._thread is not None:
            self._thread.join(5.0)
        self._ours.close()
        self._bell.close()

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="kibitz-bridge", daemon=True)
                self._thread.start()

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except OSError:  # rung already, or closed
            return

    def _run(self) -> None:
        was_away = False
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._listen(connection)
                    if was_away:
                        self._hear_all()  # something may have been said while we did not listen
                    self._carry(connection)
            except psycopg.Error as error:
                log.debug("no wake-ups from other processes for now: %s", error)
                was_away = True
                self._stop.wait(_RECONNECT_S)

    def _listen(self, connection: Connection) -> None:
        own_pid = connection.info.backend_pid

        def told(notice: psycopg.Notify) -> None:
            if notice.pid != own_pid:
                for topic in notice.payload.split():
                    self._hear(topic)

        connection.add_notify_handler(told)
        connection.execute(f"LISTEN {CHANNEL}")

    def _carry(self, connection: Connection) -> None:
        say_at = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._ours, selectors.EVENT_READ)
            while not self._stop.is_set():
                wait_s = max(0.0, say_at - time.monotonic()) if self._unsaid else _LOOK_EVERY_S
                selector.select(wait_s)
                self._silence_bell()
                if self._unsaid and (time.monotonic() >= say_at or self._stop.is_set()):
                    self._say_all(connection)
                    say_at = time.monotonic() + SAY_EVERY_S
                else:
                    connection.execute("SELECT 1")  # takes in what has come, or finds it broken

    def _silence_bell(self) -> None:
        try:
            self._ours.recv(4096)
        except BlockingIOError:
            return

    def _say_all(self, connection: Connection) -> None:
        with self._lock:
            topics, self._unsaid = self._unsaid, set()
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, " ".join(sorted(topics))))

    def _hear_all(self) -> None:
        with self._lock:
            topics = sorted(self._topics)
        for topic in topics:
            self._hear(topic)
