"""A PostgreSQL server for the tests: the system's binaries, a cluster of its own, a socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "kibitz"


def find_binaries() -> Path | None:
    """Return the folder of the newest server installed here."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    for folder in reversed(folders):
        if (folder / "initdb").exists():
            return folder
    config = shutil.which("pg_config")
    if config is not None:
        folder = Path(subprocess.check_output([config, "--bindir"], text=True).strip())
        if (folder / "initdb").exists():
            return folder
    return None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of databases and how to start and stop its server."""

    binaries: Path
    folder: Path
    is_synced: bool

    @property
    def url(self) -> str:
        """Return its URL with `{}` where the database's name goes."""
        return f"postgresql://{USER}@/{{}}?host={self.folder}"

    def make(self) -> None:
        """Write the files of a new cluster."""
        self._run("initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start the server; returns when it answers."""
        options = f"-c listen_addresses='' -k {self.folder} -c max_connections=100"
        if not self.is_synced:
            options += " -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` is a crash."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def _run(self, command: str, *arguments: str) -> None:
        account = _unprivileged()
        subprocess.run(
            [str(self.binaries / command), "-D", str(self.folder / "data"), *arguments],
            check=True,
            cwd=self.folder,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def running_cluster(binaries: Path, *, is_synced: bool = False) -> Iterator[Cluster]:
    """Run a new cluster; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kibitz-pg-"))
    account = _unprivileged()
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    cluster = Cluster(binaries, folder, is_synced)
    cluster.make()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """Run a new cluster; yields its URL with `{}` where the database's name goes."""
    with running_cluster(binaries) as cluster:
        yield cluster.url


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run as: the server refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("the PostgreSQL tests need an account other than root")
