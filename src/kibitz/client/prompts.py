"""`kibitz.get_prompt`: from memory, refreshed behind the app's back; the disk steps in at need."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kibitz import _directory
from kibitz.client.cache import PromptCache
from kibitz.client.connection import Connection, connection_for, settings_now
from kibitz.client.prompt import Prompt, default_prompt, prompt_of
from kibitz.config import Settings
from kibitz.errors import ApiError, KibitzError

log = logging.getLogger("kibitz")

_FETCH_TIMEOUT_S = 10.0  # of one request, on a thread of ours
_REST_S = 5.0  # after a failure, before anybody waits again who has something else to use
_MOST_KEPT = 1_000

Key = tuple[str, str | None, str | None, str | None, str | None]
"""Collector, its key, path, environment, Version."""


def get_prompt(
    path: str,
    *,
    environment: str | None = None,
    version_id: str | None = None,
    default: Prompt | Mapping[str, Any] | None = None,
    max_age_s: float = 60.0,
    timeout_s: float = 2.0,
) -> Prompt:
    """Return the Prompt at a path: the Version deployed to an environment, else to the default one.

    Only the first call for a Prompt waits for the collector, at most `timeout_s`; later ones have
    it from memory, and one older than `max_age_s` is fetched anew in the background. While the
    collector is away the last one it gave is used, also after a restart. Never had one, `default`
    is: a Prompt, or a mapping such as {"model": "gpt-4o", "template": [{"role": …}]}.
    Raises: KibitzError: there is neither of these; the message says what to do.
    """
    if environment is not None and version_id is not None:
        raise KibitzError("give get_prompt() an environment or a version_id, not both")
    settings = settings_now()
    source = connection_for(settings)
    key: Key = (source.collector, source.api_key, path, environment, version_id)
    prompts = _prompts()
    kept = prompts.recall(key)
    if kept is not None:
        if version_id is None and time.monotonic() - kept.at > max_age_s:
            prompts.fetch(key, source, _disk_of(settings, source))
        return kept.prompt
    disk = _disk_of(settings, source)
    stored = None if disk is None else disk.read(path, environment, version_id)
    is_optional = stored is not None or default is not None
    fetch = prompts.fetch(key, source, disk, is_urgent=not is_optional)
    if fetch is not None and fetch.done.wait(max(0.0, timeout_s)) and fetch.prompt is not None:
        return fetch.prompt
    if stored is not None:
        return prompts.keep(key, prompt_of(stored, "disk"))
    if default is not None:
        return default_prompt(path, default)
    raise _nothing(path, source, timeout_s, prompts.failure(key))


def _nothing(
    path: str, source: Connection, timeout_s: float, why: KibitzError | None
) -> KibitzError:
    if isinstance(why, ApiError) and why.status is not None:
        reason = f"the collector at {source.collector} says: {why}"
    else:
        reason = str(why or f"{source.collector} did not answer within {timeout_s:g} s")
    return KibitzError(
        f"no prompt {path!r}: {reason}; and none was kept from before. Make it there "
        "(`kibitz push`, or the pages), or give get_prompt() a default="
    )


@dataclass(slots=True)
class _Kept:
    prompt: Prompt
    at: float  # when the collector last confirmed it; monotonic


@dataclass(slots=True)
class _Fetch:
    """One request for one Prompt, and who waits for it."""

    done: threading.Event = field(default_factory=threading.Event)
    prompt: Prompt | None = None


class _Prompts:
    """What this process has of Prompts, and which are being fetched."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._kept: dict[Key, _Kept] = {}
        self._fetches: dict[Key, _Fetch] = {}
        self._failures: dict[Key | str, tuple[float, KibitzError]] = {}

    def recall(self, key: Key) -> _Kept | None:
        return self._kept.get(key)

    def keep(self, key: Key, prompt: Prompt) -> Prompt:
        """Take a Prompt from the disk, unless the collector's has come meanwhile."""
        with self._lock:
            return self._kept.setdefault(key, _Kept(prompt, -float("inf"))).prompt

    def failure(self, key: Key) -> KibitzError | None:
        """Return why the last fetch of this failed."""
        known = self._failures.get(key)
        return known[1] if known else None

    def fetch(
        self, key: Key, source: Connection, disk: PromptCache | None, *, is_urgent: bool = False
    ) -> _Fetch | None:
        """Ask on a thread of its own, once at a time; None: it failed a moment ago."""
        with self._lock:
            running = self._fetches.get(key)
            if running is not None:
                return running
            if not is_urgent and self._has_just_failed(key):
                return None
            fetch = self._fetches[key] = _Fetch()
        thread = threading.Thread(
            target=self._run, args=(key, source, disk, fetch), name="kibitz-prompts", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            with self._lock:
                self._fetches.pop(key, None)
            return None
        return fetch

    def _has_just_failed(self, key: Key) -> bool:
        now = time.monotonic()
        return any(
            (known := self._failures.get(one)) is not None and now - known[0] < _REST_S
            for one in (key, key[0])
        )

    def _run(self, key: Key, source: Connection, disk: PromptCache | None, fetch: _Fetch) -> None:
        _, _, path, environment, version_id = key
        error: KibitzError | None = None
        try:
            answer = _ask(source, str(path), environment, version_id)
            fetch.prompt = prompt_of(answer, "collector")
            if disk is not None:
                disk.write(answer, path, environment, version_id)
        except KibitzError as failure:
            error = failure
        except Exception as failure:  # whatever it is, it is not to end the host's thread loudly
            error = KibitzError(f"{type(failure).__name__}: {failure}")
        self._settle(key, fetch, error)
        fetch.done.set()

    def _settle(self, key: Key, fetch: _Fetch, error: KibitzError | None) -> None:
        with self._lock:
            self._fetches.pop(key, None)
            if error is None and fetch.prompt is not None:
                self._kept[key] = _Kept(fetch.prompt, time.monotonic())
                self._failures.pop(key, None)
                self._failures.pop(key[0], None)
                while len(self._kept) > _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                return
            assert error is not None
            is_away = isinstance(error, ApiError) and error.status is None
            is_news = key not in self._failures
            self._failures[key] = (time.monotonic(), error)
            if is_away:
                self._failures[key[0]] = (time.monotonic(), error)
        if is_news and not is_away and key in self._kept:
            log.warning("kibitz: prompt %r cannot be refreshed: %s", key[2], error)

    def after_fork(self) -> _Prompts:
        """Return what a forked child begins with: the same Prompts, nothing under way."""
        mine = _Prompts()
        mine._kept = dict(self._kept)
        return mine


_state = _Prompts()


def _prompts() -> _Prompts:
    global _state
    if _state.pid != os.getpid():  # its lock may be held for ever, its threads are gone
        _state = _state.after_fork()
    return _state


def _disk_of(settings: Settings, source: Connection) -> PromptCache | None:
    if settings.durability == "memory":
        return None
    base = _directory.base_directory(settings.spool_dir, os.environ)
    return PromptCache(_directory.directory_of(base, source.collector, source.api_key))


def _ask(
    source: Connection, path: str, environment: str | None, version_id: str | None
) -> dict[str, Any]:
    """Return the collector's answer about a Prompt.

    Raises: ApiError.
    """
    query = {"environment": environment}
    answer: dict[str, Any] = source.post(
        "/v5/files/retrieve-by-path", {"path": path}, query=query, timeout_s=_FETCH_TIMEOUT_S
    )
    if version_id is None or answer.get("version_id") == version_id:
        return answer
    if answer.get("type") != "prompt":
        raise KibitzError(f"{path!r} is a File of type {answer.get('type')}")
    chosen: dict[str, Any] = source.get(
        f"/v5/prompts/{answer['id']}",
        {"version_id": version_id},
        timeout_s=_FETCH_TIMEOUT_S,
        retries=0,
    )
    return chosen
