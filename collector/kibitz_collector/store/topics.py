"""Wakes workers of this process after a commit: a topic, and an event per subscriber."""

import threading
import weakref


class Topics:
    """Who waits for what. An event nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, weakref.WeakSet[threading.Event]] = {}

    def subscribe(self, topic: str) -> threading.Event:
        """Return a new event, set by each `announce` of the topic."""
        event = threading.Event()
        with self._lock:
            self._events.setdefault(topic, weakref.WeakSet()).add(event)
        return event

    def announce(self, topic: str) -> None:
        """Set the events of the topic's subscribers."""
        with self._lock:
            events = list(self._events.get(topic, ()))
        for event in events:
            event.set()
