"""Threads of the host keep the parent: patches of thread starts and executors, and `propagate`.

Only our own key is carried, never the host's OpenTelemetry context; with nothing of ours current
the patches pass straight through. asyncio tasks, `to_thread` and anyio carry it by themselves.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from kibitz import _runtime
from kibitz._context import get_current
from kibitz._guard import guarded
from kibitz._runtime import Runtime
from kibitz._scope import Scope, current_scope, enter, leave
from kibitz._session import extract, inject

P = ParamSpec("P")
R = TypeVar("R")

_original_submit = concurrent.futures.ThreadPoolExecutor.submit
_original_start = threading.Thread.start


class Propagated(Generic[P, R]):
    """A function that runs under what was current when it was made, in any thread or process."""

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._scope = current_scope()
        self._headers: dict[str, str] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._headers:
            with extract(self._headers):
                return self._function(*args, **kwargs)
        return run_in(self._scope, self._function, args, kwargs)

    def __getstate__(self) -> dict[str, Any]:
        headers: dict[str, str] = {}
        if self._scope is not None:
            context = get_current()
            enter(self._scope, context)
            inject(headers)
            leave(self._scope, context)
        return {"_function": self._function, "_scope": None, "_headers": headers or self._headers}


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the current trace and session, for threads and process pools.

    `pool.submit(kibitz.propagate(work), item)`. It can be pickled if the function can.
    """
    return Propagated(function)


def run_in(
    scope: Scope | None, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> R:
    """Call a function with a scope current."""
    if scope is None:
        return function(*args, **kwargs)
    context = get_current()
    enter(scope, context)
    try:
        return function(*args, **kwargs)
    finally:
        leave(scope, context)


class _Work:
    """A function submitted to an executor, with the scope of its submitter."""

    __slots__ = ("_function", "_scope")

    def __init__(self, scope: Scope, function: Callable[..., Any]) -> None:
        self._scope = scope
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return run_in(self._scope, self._function, args, kwargs)


def _submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    scope = None
    with guarded("carrying the parent into an executor"):
        scope = current_scope()
    if scope is not None:
        fn = _Work(scope, fn)
    return _original_submit(self, fn, *args, **kwargs)


def _start(self: threading.Thread) -> None:
    with guarded("carrying the parent into a thread"):
        scope = current_scope()
        if scope is not None and "run" not in self.__dict__ and not _is_pool_worker(self):
            self.run = _Run(self, scope)  # type: ignore[method-assign]  # removed when it runs
    _original_start(self)


def _is_pool_worker(thread: threading.Thread) -> bool:
    """Whether an executor starts the thread: it will outlive whatever is current now."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", None) == "concurrent.futures.thread"


class _Run:
    """`Thread.run` with the scope of whoever started the thread."""

    __slots__ = ("_scope", "_thread")

    def __init__(self, thread: threading.Thread, scope: Scope) -> None:
        self._thread = thread
        self._scope = scope

    def __call__(self) -> None:
        del self._thread.__dict__["run"]
        run_in(self._scope, self._thread.run, (), {})


def patch_threads() -> None:
    """Carry the parent into threads and executors. `run_in_executor` goes through `submit`."""
    global _original_submit, _original_start
    if concurrent.futures.ThreadPoolExecutor.submit is not _submit:
        _original_submit = concurrent.futures.ThreadPoolExecutor.submit
        concurrent.futures.ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]
    if threading.Thread.start is not _start:
        _original_start = threading.Thread.start
        threading.Thread.start = _start  # type: ignore[method-assign]


def unpatch_threads() -> None:
    """Undo it, unless someone else has patched over us."""
    if concurrent.futures.ThreadPoolExecutor.submit is _submit:
        concurrent.futures.ThreadPoolExecutor.submit = _original_submit  # type: ignore[method-assign]
    if threading.Thread.start is _start:
        threading.Thread.start = _original_start  # type: ignore[method-assign]


def _on_install(runtime: Runtime) -> None:
    if runtime.settings.patch_threads:
        patch_threads()
    else:
        unpatch_threads()


_runtime.on_install(_on_install)
