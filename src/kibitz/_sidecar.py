"""`init(collector="sqlite:///FILE")`: not there yet; says what to do instead."""

from __future__ import annotations

from typing import NoReturn

from kibitz.errors import ConfigError


def refuse(collector: str) -> NoReturn:
    """Tell how to have a collector on that file today.

    Raises: ConfigError: always.
    """
    raise ConfigError(
        f"collector={collector!r}: kibitz does not start a collector by itself yet; run "
        f"`kibitz serve --database-url {collector}` and leave collector= at its default"
    )
