"""Reads the fields of a page's form; bounded, text only."""

from urllib.parse import parse_qs

from starlette.requests import Request

from kibitz_collector.errors import BadPayload, TooLarge

MAX_FORM_BYTES = 512 * 1024


async def read_form(request: Request) -> dict[str, str]:
    """Return the first value of each field; blank ones too.

    Raises: TooLarge: the form is over 512 KB. BadPayload: it is not UTF-8.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_FORM_BYTES:
            raise TooLarge(f"a form may have {MAX_FORM_BYTES} bytes at most")
    try:
        fields = parse_qs(data.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadPayload("the form is not UTF-8") from None
    return {name: _clean(values[0]) for name, values in fields.items()}


def _clean(value: str) -> str:
    # NUL is what PostgreSQL cannot hold and SQLite cannot search.
    return value.replace("\r\n", "\n").replace("\0", "\ufffd")
