"""What kibitz may raise into an app, and only from `init()`, `instrument()` and the command line.

KibitzError
├── ConfigError       an argument or a KIBITZ_* variable is wrong; the message names it
├── IntegrationError  no such integration, or the library is outside the supported versions
└── ExportError       records could not be read from the spool or handed over (commands only)
"""


class KibitzError(Exception):
    """Base of everything kibitz raises."""


class ConfigError(KibitzError):
    """An argument or a KIBITZ_* variable is wrong; the message names it and says what to do."""


class IntegrationError(KibitzError):
    """No such integration, or the library is outside the supported versions."""


class ExportError(KibitzError):
    """Records could not be read from the spool or handed over."""
