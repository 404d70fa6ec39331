"""`kibitz.instrument("openai")`: finds integrations by entry point and switches them on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kibitz.errors import IntegrationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "kibitz.integrations"


def instrument(*names: str) -> tuple[str, ...]:
    """Record the calls of these client libraries, or of all that are installed; says which.

    Raises: IntegrationError: there is no such integration, or its library is not installed.
    """
    if names:
        for module in [
            _load(name) for name in names
        ]:  # all names are checked before one is patched
            module.instrument()
        return names
    return tuple(name for name in sorted(_known()) if _try(name))


def uninstrument(*names: str) -> None:
    """Put these client libraries, or all, back as they were.

    Raises: IntegrationError: there is no such integration.
    """
    for name in names or sorted(_known()):
        _load(name).uninstrument()


def _try(name: str) -> bool:
    try:
        _load(name).instrument()
    except (IntegrationError, ImportError):
        return False
    return True


def _load(name: str) -> Any:
    known = _known()
    if name not in known:
        installed = ", ".join(sorted(known)) or "none"
        raise IntegrationError(f"no integration {name!r}; installed: {installed}")
    return known[name].load()


def _known() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # 9 ms, for those who call `instrument`

    return {entry.name: entry for entry in entry_points(group=GROUP)}
