"""What kibitz may raise into an app: only from `init()`, `instrument()`, commands, and the client.

KibitzError
├── ConfigError       an argument or a KIBITZ_* variable is wrong; the message names it
├── IntegrationError  no such integration, or the library is outside the supported versions
├── ExportError       records could not be read from the spool or handed over (commands only)
├── ApiError          the collector refused what the app asked of it, or gave no answer
└── ChecksFailed      an evaluation is not as good as its `checks` ask for
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kibitz.client.results import EvaluationResult


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


class ChecksFailed(KibitzError):
    """An evaluation is not as good as its `checks` ask for; `result` has all of it."""

    def __init__(self, message: str, result: EvaluationResult) -> None:
        super().__init__(message)
        self.result = result
