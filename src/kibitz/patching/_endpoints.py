"""Which methods of a library are patched, in which versions; patching and undoing."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import wrapt

from kibitz.errors import IntegrationError
from kibitz.patching._reading import Attributes

_logger = logging.getLogger("kibitz")


class StreamFold(Protocol):
    """Folds a streamed reply, chunk by chunk, into what the whole reply would have said."""

    def add(self, chunk: Any) -> None:
        """Fold one chunk in; called while the host waits, so it keeps text and little else."""

    def attributes(self) -> Attributes:
        """What the chunks so far come to; called once, after the last."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of a client class, and how to read what goes in and comes out.

    `extend(kwargs)` may return arguments that ask the provider for more (usage of a stream); then
    `is_extra(chunk)` says which chunks the caller would not have got, and they are hidden.
    `is_manager`: the method only returns a context manager, and entering that makes the call.
    `stream_views`: attributes of a helper stream that iterate it, and the method that makes them.
    """

    target: str  # "module:Class.method"
    operation: str
    read_request: Callable[[dict[str, Any]], Attributes]
    read_response: Callable[[Any], Attributes]
    stream: Callable[[], StreamFold] | None = None
    read_client: Callable[[Any], Attributes] | None = None
    extend: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
    is_extra: Callable[[Any], bool] | None = None
    is_manager: bool = False
    stream_views: Mapping[str, str] = field(default_factory=dict)

    def in_class(self, prefix: str) -> Endpoint:
        """The same endpoint in the class whose name has this prefix, such as `Async`."""
        return replace(self, target=self.target.replace(":", f":{prefix}"))


@dataclass(frozen=True, slots=True)
class Library:
    """A client library by its name on PyPI; we know the versions `oldest <= version < below`."""

    name: str
    oldest: str
    below: str


@dataclass(frozen=True, slots=True)
class _Patched:
    owner: type
    method: str
    original: Any
    wrapper: Any


_lock = threading.Lock()
_patched: dict[str, _Patched] = {}
_warned: set[str] = set()


def patch(library: Library, endpoints: Sequence[Endpoint]) -> None:
    """Patch the endpoints this version of the library has. What is patched already stays so.

    Raises: IntegrationError: the library is not installed, or has none of the endpoints.
    """
    if not _is_supported(library):
        return
    with _lock:
        found = [_patch_one(endpoint) for endpoint in endpoints]
    if not any(found):
        raise IntegrationError(
            f"{library.name} has none of the methods kibitz knows; is it complete?"
        )


def unpatch(endpoints: Sequence[Endpoint]) -> None:
    """Put the original attributes back. A patch laid over ours stays, and ours falls silent."""
    with _lock:
        for endpoint in endpoints:
            done = _patched.pop(endpoint.target, None)
            if done is not None and done.owner.__dict__.get(done.method) is done.wrapper:
                setattr(done.owner, done.method, done.original)


def is_patched(endpoint: Endpoint) -> bool:
    """Whether calls of this endpoint are recorded now."""
    return endpoint.target in _patched


def _is_supported(library: Library) -> bool:
    try:
        version = importlib.metadata.version(library.name)
    except importlib.metadata.PackageNotFoundError:
        raise IntegrationError(
            f"{library.name} is not installed; run: pip install '{library.name}>={library.oldest}'"
        ) from None
    if _release(library.oldest) <= _release(version) < _release(library.below):
        return True
    if library.name not in _warned:
        _warned.add(library.name)
        _logger.warning(
            "%s %s is not recorded: kibitz knows the versions >=%s,<%s",
            library.name,
            version,
            library.oldest,
            library.below,
        )
    return False


def _release(version: str) -> tuple[int, ...]:
    # Padded, because (1, 40) < (1, 40, 0) and both mean the same.
    numbers = [int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number]  # type: ignore[index]  # always matches
    return tuple([*numbers, 0, 0, 0][:3])


def _patch_one(endpoint: Endpoint) -> bool:
    from kibitz.patching._calls import observe

    if endpoint.target in _patched:
        return True
    module_name, _, path = endpoint.target.partition(":")
    class_name, _, method = path.partition(".")
    try:
        owner = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError:
        return False
    if not isinstance(owner, type) or (original := vars(owner).get(method)) is None:
        return False
    if isinstance(original, _Wrapper):  # one class under two names
        return True
    wrapper = _Wrapper(original, partial(observe, endpoint))
    setattr(owner, method, wrapper)
    _patched[endpoint.target] = _Patched(owner, method, original, wrapper)
    return True


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # generic only from wrapt 2 on
    """Ours, told apart from the wrappers of other tools."""
