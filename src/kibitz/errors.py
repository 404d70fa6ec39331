"""What kibitz may raise into an app: only from `init()`, `instrument()`, commands, and the client.

KibitzError
├── ConfigError       an argument or a KIBITZ_* variable is wrong; the message names it
├── IntegrationError  no such integration, or the library is outside the supported versions
├── ExportError       records could not be read from the spool or handed over (commands only)
└── ApiError          the collector refused what the app asked of it, or gave no answer
"""

from __future__ import annotations

from typing import Any


class KibitzError(Exception):
    """Base of everything kibitz raises."""


class ConfigError(KibitzError):
    """An argument or a KIBITZ_* variable is wrong; the message names it and says what to do."""


class IntegrationError(KibitzError):
    """No such integration, or the library is outside the supported versions."""


class ExportError(KibitzError):
    """Records could not be read from the spool or handed over."""


class ApiError(KibitzError):
    """The collector refused what the app asked of it; `status` None: it gave no answer."""

    def __init__(self, message: str, status: int | None = None, detail: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
