"""A PostgreSQL server of our own: the system's binaries, a new cluster, fsync on, a socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_USER = "bench"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server."""

    url: str  # of an empty database
    pid: int


def find_binaries() -> Path | None:
    """Return the folder of the newest server installed here, or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def running(binaries: Path) -> Iterator[Cluster]:
    """Run a new cluster and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kibitz-bench-pg-"))
    account = _account()
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = str(folder / "data")

    def run(name: str, *flags: str) -> None:
        subprocess.run(
            [str(binaries / name), *flags],
            check=True,
            cwd=folder,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    try:
        run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8")
        options = f"-c listen_addresses='' -k {folder} -c max_connections=60"
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            yield Cluster(f"postgresql://{_USER}@/postgres?host={folder}", pid)
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> pwd.struct_passwd | None:
    """Return whom to run as: the server refuses root."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]
