"""Server processes: started on a free port, watched (processor time, memory), ended by pid."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.children import environment


class Usage:
    """Processor time and memory of a process and its children, sampled until it is closed."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.peak_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    def cpu_s(self) -> float:
        """Seconds of processor time so far, those of ended children included."""
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
            if process.pid == self._root.pid:
                total += times.children_user + times.children_system
        return total

    def rss_bytes(self) -> int:
        """Resident memory now; what PostgreSQL's processes share is counted once."""
        total = 0
        for process in self._tree():
            try:
                memory = process.memory_info()
                is_sharing = process.name().startswith("postgres")
            except psutil.Error:
                continue
            total += memory.rss - (memory.shared if is_sharing else 0)
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def _sample(self) -> None:
        while not self._is_over.wait(0.5):
            self.rss_bytes()

    def close(self) -> None:
        """Stop sampling."""
        self._is_over.set()
        self._thread.join()


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    given: Mapping[str, str] | None = None,
    *,
    is_read: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Run a server in `folder`; its words go to a file there, or are read from its `stdout`."""
    with (folder / "server.err").open("w") as errors:
        process = subprocess.Popen(
            [*command],
            cwd=folder,
            env=environment(**(given or {})),
            stdout=subprocess.PIPE if is_read else errors,  # a pipe that nobody reads blocks it
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def kibitz_serve(
    folder: Path, database_url: str, *flags: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `kibitz serve`; yields its URL and its process."""
    command = [sys.executable, "-m", "kibitz", "serve", "--port", "0"]
    command += ["--database-url", database_url, "--log-level", "warning", *flags]
    with running(command, folder, is_read=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"watching at (http://\S+)", line)
        if found is None:
            raise RuntimeError(f"kibitz serve: {(folder / 'server.err').read_text()[-1000:]}")
        yield found.group(1), process
