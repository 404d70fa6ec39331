"""Which functions are decorated, and what is in them: for what runs them in another way."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from kibitz._declared import File

# Not on the function itself: `functools.wraps` of a decorator around it would copy it.
# And not the function inside: it holds its module, and what that left open would never be closed.
_files: WeakKeyDictionary[Callable[..., Any], File] = WeakKeyDictionary()


def remember(made: Callable[..., Any], function: Callable[..., Any], file: File) -> None:
    """Note what a decorated function was made of."""
    if getattr(made, "__wrapped__", None) is function:
        _files[made] = file


def taken_apart(function: Callable[..., Any]) -> tuple[Callable[..., Any], File | None]:
    """Return the function inside a decorated one, and its File; any other as it is, and None."""
    if isinstance(function, types.MethodType):
        inner, file = taken_apart(function.__func__)
        return types.MethodType(inner, function.__self__), file
    try:
        file = _files.get(function)
        return (function, None) if file is None else (function.__wrapped__, file)  # type: ignore[attr-defined]  # of `wraps`
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return function, None
