"""Binding of a call's arguments to names, worked out at decoration as far as it can be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """Names the arguments of one function's calls, without the instance or class of a method."""

    __slots__ = ("_defaults", "_is_partial", "_names", "_rest", "_skipped")

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # a builtin without a signature
            parameters = []
        names = [each.name for each in parameters if each.kind in _BY_POSITION]
        self._skipped = 1 if _is_method(function, names) else 0
        self._names = names[self._skipped :]
        rest = [each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL]
        self._rest = rest[0] if rest else "args"
        self._defaults = [
            (each.name, each.default)
            for each in parameters
            if each.default is not inspect.Parameter.empty
        ]
        # Whether even a call that gives all by position leaves something to its default.
        self._is_partial = any(name not in self._names for name, _ in self._defaults)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, defaults included, as far as they fit the signature."""
        if self._skipped:
            args = args[1:]
        names = self._names
        if len(names) == 1 == len(args) and not kwargs and not self._is_partial:
            return {names[0]: args[0]}
        bound = dict(zip(names, args, strict=False))
        if len(args) == len(names) and not kwargs and not self._is_partial:
            return bound
        if len(args) > len(names):
            bound[self._rest] = args[len(names) :]
        if kwargs:
            bound.update(kwargs)
        for name, default in self._defaults:
            if name not in bound:
                bound[name] = default
        return bound


def _is_method(function: Callable[..., Any], names: list[str]) -> bool:
    place = getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
    return "." in place and bool(names) and names[0] in ("self", "cls", "mcs")
