"""Opaque cursors of listings: where the last row stood, so that the next page begins behind it."""

import base64
import binascii

import orjson

from kibitz_collector.errors import BadQuery

_MAX_CHARACTERS = 1024


def write_cursor(*place: int | str) -> str:
    """Write a place as text fit for a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(cursor: str, *types: type[int] | type[str]) -> list[int | str]:
    """Read what `write_cursor` wrote, with these types.

    Raises: BadQuery: it is not a cursor of this listing.
    """
    place = None
    if len(cursor) <= _MAX_CHARACTERS:
        try:
            padded = cursor.encode() + b"=" * (-len(cursor) % 4)
            place = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):  # bad text, bad base64, bad JSON
            place = None
    fits = isinstance(place, list) and [type(part) for part in place] == list(types)
    if not fits or not all(_is_storable(part) for part in place or ()):
        raise BadQuery("this cursor is not one of this listing; begin again without it")
    return list(place or ())


def _is_storable(part: int | str) -> bool:
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return "\x00" not in part and not any("\ud800" <= c <= "\udfff" for c in part)
