"""Which functions are decorated, and what is in them: for what runs them in another way."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from kibitz._declared import File

# Not on the function itself: `functools.wraps` of a decorator around it would copy it.
_insides: WeakKeyDictionary[Callable[..., Any], tuple[Callable[..., Any], File]]
_insides = WeakKeyDictionary()


def remember(made: Callable[..., Any], function: Callable[..., Any], file: File) -> None:
    """Note what a decorated function was made of."""
    _insides[made] = function, file


def taken_apart(function: Callable[..., Any]) -> tuple[Callable[..., Any], File | None]:
    """Return the function inside a decorated one, and its File; any other as it is, and None."""
    if isinstance(function, types.MethodType):
        inner, file = taken_apart(function.__func__)
        return types.MethodType(inner, function.__self__), file
    try:
        return _insides.get(function) or (function, None)
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return function, None
