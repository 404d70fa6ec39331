"""Seals secrets at rest (channel URLs, signing secrets), so that a copy of the database leaks none.

The key comes from `KIBITZ_SECRET_KEY`, else from a file beside the SQLite database, mode 0600.
"""

import base64
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid

_SQLITE = "sqlite:///"
# A secret key is any long text a person chose, so it is stretched; once per process, about 40 ms.
_SALT = b"kibitz seal 1"
_STRETCH = {"n": 2**14, "r": 8, "p": 1}


class Sealer:
    """Seals and opens texts with one key."""

    def __init__(self, secret_key: str) -> None:
        key = hashlib.scrypt(secret_key.encode(), salt=_SALT, dklen=32, **_STRETCH)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, text: str) -> str:
        """Return what may be stored."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Return the text again.

        Raises: Invalid: it was sealed with another key, or changed.
        """
        try:
            return self._fernet.decrypt(sealed.encode("ascii", "replace")).decode()
        except InvalidToken:
            raise Invalid(
                "this secret was sealed with another secret key; start the collector with the "
                "KIBITZ_SECRET_KEY (or key file) of then, or enter the secret again"
            ) from None


def open_sealer(settings: Settings) -> Sealer:
    """Return the sealer of this collector; makes the key file when there is none.

    Raises: Invalid: there is no place for a key.
    """
    if settings.secret_key:
        return Sealer(settings.secret_key)
    if not settings.database_url.startswith(_SQLITE):
        raise Invalid(
            "secrets cannot be stored without a key: start every collector and worker with the "
            "same KIBITZ_SECRET_KEY (any long random text)"
        )
    database = settings.database_url.removeprefix(_SQLITE).partition("?")[0]
    return Sealer(_key_file(Path(f"{database}.key")))


def _key_file(path: Path) -> str:
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    # Written whole under another name, then linked: of two processes one wins, both read its key.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".kibitz-key-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> str:
    text = path.read_text().strip()
    if len(text) < 32:
        raise Invalid(
            f"the key file {path} is damaged; restore it, or remove it and enter secrets again"
        )
    return text
