"""`init(collector="sqlite:///FILE")`: one collector on that file, found or started, for the app.

Locks, not process ids, say who is there: each process of the app holds a shared one on
`FILE.users`, the collector an exclusive one on `FILE.serving`, which it inherits from whoever
starts it. Both fall with their processes. The collector ends when nobody has used it for a while.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kibitz.errors import ConfigError

if TYPE_CHECKING:
    import subprocess

_PREFIX = "sqlite:///"
_held: dict[Path, int] = {}  # by database: the open file whose lock tells that we are there
_started: list[subprocess.Popen[bytes]] = []


def find_or_start(collector: str) -> str:
    """Return the URL of the collector on this file; records wait in the spool until it answers.

    Raises: ConfigError: there can be none here; the message says what to do instead.
    """
    path = _file_of(collector)
    _check(collector)
    import fcntl

    try:
        _be_there(path)
        with open(f"{path}.port", "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # one at a time looks, and starts
            file.seek(0)
            port = int(file.read() or b"0")
            serving = os.open(f"{path}.serving", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(serving, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _url(port)
            else:
                port = _free_port(port)
                _start(path, port, serving)
                file.truncate(0)
                file.write(b"%d" % port)
            finally:
                os.close(serving)
    except (OSError, ValueError) as error:
        raise ConfigError(f"collector={collector!r}: {error}") from None
    return _url(port)


def known_url(collector: str) -> str | None:
    """Return where the collector on this file was last; nothing is started."""
    try:
        return _url(int(Path(f"{_file_of(collector)}.port").read_bytes()))
    except (OSError, ValueError):
        return None


def _file_of(collector: str) -> Path:
    return Path(collector.removeprefix(_PREFIX).partition("?")[0]).absolute()


def _check(collector: str) -> None:
    if importlib.util.find_spec("fcntl") is None:
        raise ConfigError(
            f"collector={collector!r}: this system has no file locks of the kind needed; run "
            f"`kibitz serve --database-url {collector}` and leave collector= at its default"
        )
    if importlib.util.find_spec("uvicorn") is None:
        raise ConfigError(f'collector={collector!r} needs the collector: "kibitz[collector]"')


def _be_there(path: Path) -> None:
    """Hold the lock of those who use the collector, as long as this process lives."""
    import fcntl

    if path not in _held:
        users = os.open(f"{path}.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        _held[path] = users


def _free_port(wanted: int) -> int:
    """Return a port to listen on; the one of before, so that who knows it finds us again."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def _start(path: Path, port: int, serving: int) -> None:
    import subprocess

    command = [sys.executable, "-m", "kibitz", "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--database-url", f"{_PREFIX}{path}"]
    command += ["--used-by", f"{path}.users"]
    with open(f"{path}.log", "ab") as log:
        _started.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[serving],
                start_new_session=True,  # Ctrl-C is for the app
            )
        )


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
