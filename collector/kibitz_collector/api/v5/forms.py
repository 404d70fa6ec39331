"""Uploaded forms, also of clients that do not say where their parts end.

The official Python SDK sends `Content-Type: multipart/form-data` without a boundary.
"""

import re
from dataclasses import dataclass, field

from kibitz_collector.errors import BadPayload, Unsupported

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,200})"?')
_NAME = re.compile(r'(?<![\w])name="([^"\r\n]*)"')
_FILE_NAME = re.compile(r"(?<![\w])filename\*?=")


@dataclass(slots=True)
class Form:
    """The parts of a form, by name."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """Split a form into its parts.

    Raises: Unsupported: it is no form. BadPayload: no boundary can be found.
    """
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Unsupported(
            f"Content-Type {content_type!r} is not read here; send multipart/form-data"
        )
    told = _BOUNDARY.search(content_type)
    first_line = body.partition(b"\r\n")[0]
    if told is not None:
        boundary = b"--" + told[1].encode()
    elif first_line.startswith(b"--") and len(first_line) <= 202:
        boundary = first_line
    else:
        raise BadPayload("the form has no boundary, neither in its Content-Type nor as first line")
    form = Form()
    for part in (b"\r\n" + body).split(b"\r\n" + boundary)[1:]:
        if part.startswith(b"--"):
            return form
        head, _, value = part.partition(b"\r\n\r\n")
        _add(form, head.decode("utf-8", "replace"), value)
    raise BadPayload("the form breaks off: its closing boundary is missing")


def _add(form: Form, head: str, value: bytes) -> None:
    name = _NAME.search(head)
    if name is None:
        raise BadPayload("a part of the form has no name")
    if _FILE_NAME.search(head):
        form.files[name[1]] = value
    else:
        form.texts[name[1]] = value.decode("utf-8", "replace").replace("\0", "\ufffd")
