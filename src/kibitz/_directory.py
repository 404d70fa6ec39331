"""Where the spool lies: its folder, who may use it, and which of its processes run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from kibitz._segment import SEGMENT, Header, Segment, allocate

try:
    import fcntl
except ImportError:  # Windows: no locks, so nothing is mapped there
    fcntl = None  # type: ignore[assignment]

# Full or failing disks must not become a signal in the host, so only file systems that keep the
# promise of `posix_fallocate` are mapped. zfs does not: it copies on write.
MAPPABLE = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "tmpfs",
        "overlay",
        "f2fs",
        "jfs",
        "apfs",
        "hfs",
        "ufs",
    ]
)

# Process ids (ours, not the system's) whose spool is open in this very process: a POSIX lock does
# not keep a process from its own files.
ALIVE: set[str] = set()


def base_directory(spool_dir: str | None, environ: Mapping[str, str]) -> Path:
    """Choose the folder that holds the spools of all collectors."""
    if spool_dir:
        return Path(spool_dir).expanduser().absolute()
    if "AWS_LAMBDA_FUNCTION_NAME" in environ:  # only the temporary folder can be written
        return _in_temporary()
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = environ.get("HOME", "")
        state = os.path.join(home, ".local", "state") if os.path.isabs(home) else ""
    if state and _can_hold(Path(state)):
        return Path(state, "kibitz", "spool")
    return _in_temporary()


def _in_temporary() -> Path:
    import tempfile  # brings shutil and the compressors: 6 ms that are nearly never needed

    return Path(tempfile.gettempdir(), f"kibitz-{_uid()}", "spool")


def _can_hold(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK | os.X_OK)


def _uid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def directory_of(base: Path, collector: str, api_key: str | None) -> Path:
    """The folder of one collector and key, so that no one's records leave with another's key."""
    return base / hashlib.sha256(f"{collector}\n{fingerprint(api_key)}".encode()).hexdigest()[:16]


def fingerprint(api_key: str | None) -> str:
    """A name for a key that does not give it away."""
    return hashlib.sha256((api_key or "").encode()).hexdigest()[:16] if api_key else "none"


def prepare(directory: Path) -> str:
    """Make the folder if need be; "" if segments can be mapped in it, else the reason why not."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        return f"{directory}: {error.strerror or error}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{directory} is not a folder"
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return f"{directory} belongs to another user"
    if fcntl is None:
        return "this system has no file locks"
    kind = file_system(directory)
    if kind and kind not in MAPPABLE:
        return f"{directory} is on {kind}, where mapped files are not safe"
    with contextlib.suppress(OSError):
        if found.st_mode & 0o077:
            directory.chmod(0o700)
    return ""


def file_system(path: Path) -> str:
    """Name the file system of a path: "" on systems without /proc, else perhaps "unknown"."""
    mount = mount_of(path)
    return mount[1] if mount else ("unknown" if sys.platform == "linux" else "")


def mount_of(path: Path) -> tuple[str, str] | None:
    """Mount point and file system of a path, as far as the system tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        real = os.path.realpath(path)
    except OSError:
        return None
    best: tuple[str, str] | None = None
    for line in lines:
        parts = line.split(" ")
        point = parts[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        is_above = real == point or real.startswith(point.rstrip("/") + "/")
        if is_above and (best is None or len(point) >= len(best[0])):
            best = point, parts[parts.index("-") + 1]
    return best


def install_id(base: Path) -> str:
    """The id of this installation, made once per base folder; a new one if it cannot be kept."""
    path = base / "install"
    fresh = os.urandom(8).hex()
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(fresh)
        return fresh
    except FileExistsError:
        with contextlib.suppress(OSError):
            return path.read_text("ascii", "replace").strip()[:64] or fresh
    except OSError:
        pass
    return fresh


def describe_process() -> dict[str, str]:
    """What tells this process from a later one with the same pid."""
    return {
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "pid_namespace": _pid_namespace(),
        "started": _started(os.getpid()),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":  # a zombie may stay for ever, and writes no more
        return ""
    return fields[19]  # 22nd of the whole line: start time in ticks


def is_alive(header: Header) -> bool:
    """Whether a segment's writer certainly still runs; the lock decides what this leaves open."""
    return is_running(header.process, header.pid, header.identity)


def is_running(process: str, pid: int, identity: Mapping[str, str]) -> bool:
    """Whether the process that described itself so certainly still runs."""
    here = describe_process()
    if any(here[name] != identity.get(name) for name in ("boot", "pid_namespace")):
        return False
    if pid == os.getpid() and identity.get("started") == here["started"]:
        return process in ALIVE
    if identity.get("started"):
        return _started(pid) == identity["started"]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, 0)
        return True
    return False


def create_segment(
    directory: Path, name: str, size: int, header: Header, suffix: str = SEGMENT
) -> Segment:
    """Make a segment with all its blocks, locked for as long as this process lives.

    Raises: OSError: no room, no permission, no folder.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    draft = directory / f"{name}.new"
    fd = os.open(draft, flags, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # first: a draft without it is abandoned
        allocate(fd, size)
        segment = Segment(directory / f"{name}{suffix}", fd, size, header)
        draft.rename(segment.path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        os.close(fd)
        raise
    return segment


def usage_bytes(directory: Path) -> int:
    """Disk taken by everything in the folder."""
    total = 0
    with contextlib.suppress(OSError):
        for folder, _, names in os.walk(directory):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
    return total


def set_aside(directory: Path, room: str, name: str, content: bytes, *, keep: int = 1000) -> None:
    """Keep something for a human to look at, in `rejected/`; at most `keep` files."""
    folder = directory / room
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        make_room(folder, keep)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with open(os.open(folder / name, flags, 0o600), "wb") as file:
            file.write(content)


def make_room(folder: Path, keep: int) -> None:
    """Remove the oldest files, so that with one more there are at most `keep`."""
    files = sorted(folder.iterdir(), key=lambda path: path.lstat().st_mtime)
    for path in files[: max(0, len(files) - keep + 1)]:
        with contextlib.suppress(OSError):
            path.unlink()
