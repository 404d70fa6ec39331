"""Errors of the collector, each with the HTTP status it becomes.

CollectorError
├── BadPayload       400  the body cannot be read; the message says what to fix
├── BadQuery         400  a filter or metric text does not parse; the message points at the place
├── Unauthorized     401  no key, or a wrong one
├── Forbidden        403  the key may not do this, or the request came from a foreign page
├── NotFound         404
├── Conflict         409  a name is taken
├── TooLarge         413  over a size, ratio or depth limit
├── Unsupported      415  content type or encoding
├── Invalid          422  well-formed, but a value is not allowed
├── Busy             503  try again after `retry_after_s`
├── SetupError       (exit code 2) port taken, unwritable database: one clear line
└── NewerSchema      (exit code 3) the database was written by a newer kibitz
"""


class CollectorError(Exception):
    """Base of all errors of the collector."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class BadPayload(CollectorError):
    """The body cannot be read."""

    status = 400
    code = "bad_payload"


class BadQuery(CollectorError):
    """A filter or metric text does not parse."""

    status = 400
    code = "bad_query"

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Unauthorized(CollectorError):
    """No key, or a wrong one."""

    status = 401
    code = "unauthorized"


class Forbidden(CollectorError):
    """The key may not do this, or the request came from a foreign page."""

    status = 403
    code = "forbidden"


class NotFound(CollectorError):
    """Nothing is there under that id."""

    status = 404
    code = "not_found"


class Conflict(CollectorError):
    """The name is taken."""

    status = 409
    code = "conflict"


class TooLarge(CollectorError):
    """Over a limit of size, ratio or depth."""

    status = 413
    code = "too_large"


class Unsupported(CollectorError):
    """A content type or encoding that is not read."""

    status = 415
    code = "unsupported"


class Invalid(CollectorError):
    """Well-formed, but a value is not allowed."""

    status = 422
    code = "invalid"


class Busy(CollectorError):
    """The collector cannot take more now."""

    status = 503
    code = "busy"


class SetupError(CollectorError):
    """The process cannot start; one line says why."""

    exit_code = 2


class NewerSchema(SetupError):
    """The database was written by a newer kibitz."""

    exit_code = 3
