"""Every way to have a child: all calls of all processes arrive, once, under the right process."""

import sys
import textwrap

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import PRELUDE, Hosts

FORKS = {
    "before the first call": """
        kibitz.init()
        child = os.fork()
        tell(1000 if child == 0 else 0)
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
    """,
    "between calls, ending by os._exit": """
        kibitz.init()
        tell(0)
        child = os.fork()
        if child == 0:
            tell(1000)
            os._exit(0)
        os.waitpid(child, 0)
        tell(100)
    """,
    "of a child of a child": """
        kibitz.init()
        tell(0)
        if os.fork() == 0:
            tell(1000)
            if os.fork() == 0:
                tell(2000)
                os._exit(0)
            os.wait()
            os._exit(0)
        os.wait()
    """,
    "on a thread": """
        kibitz.init()
        tell(0)
        def forking():
            if os.fork() == 0:
                tell(1000)
                os._exit(0)
            os.wait()
        thread = threading.Thread(target=forking)
        thread.start()
        many(range(100, 400))
        thread.join()
    """,
    "while other threads record": """
        kibitz.init()
        threads = [threading.Thread(target=many, args=(range(n, n + 2000),)) for n in (0, 10_000)]
        [thread.start() for thread in threads]
        for n in range(10):
            if os.fork() == 0:
                tell(100_000 + n * 1000)
                os._exit(0)
        [thread.join() for thread in threads]
        [os.wait() for n in range(10)]
    """,
    "inside a call": """
        kibitz.init()
        @kibitz.flow(path="faults/forking")
        def forking(number):
            if os.fork() == 0:
                tell(1000)
                os._exit(0)
            os.wait()
        forking(-1)
    """,
    "before init": """
        if os.fork() == 0:
            kibitz.init()
            tell(1000)
            sys.exit(0)
        kibitz.init()
        tell(0)
        os.wait()
    """,
    "by a daemon that closes all descriptors": """
        kibitz.init()
        tell(0)
        if os.fork() == 0:
            os.setsid()
            out = os.dup2(1, 200)
            os.closerange(3, 200)
            theirs = os.open(os.environ["KIBITZ_SPOOL_DIR"] + "-theirs", os.O_CREAT | os.O_WRONLY)
            for n in range(20):
                tell(1000 + n * 100)
                os.write(theirs, b"mine alone ")
            os._exit(0)
        os.wait()
    """,
    "without Python's hooks": """
        import ctypes, kibitz._sender
        # Python itself hangs in such a child if another thread asked for the interpreter just then:
        # ours must sleep, and not wake up ten times a second.
        kibitz._sender.POLL_S = 60
        kibitz.init()
        tell(0)
        kibitz.flush()
        time.sleep(0.2)
        if ctypes.PyDLL(None).fork() == 0:
            tell(1000)
            os._exit(0)
        os.wait()
    """,
    "on a pseudo-terminal": """
        kibitz.init()
        tell(0)
        out = os.dup(1)
        child, terminal = os.forkpty()
        if child == 0:
            os.dup2(out, 1)
            tell(1000)
            os._exit(0)
        os.waitpid(child, 0)
    """,
}

# Which numbers a process works on, told before it does.
TELL = """
def tell(first):
    os.write(1, b"%d %d\\n" % (first, os.getpid()))
    many(range(first, first + 100))
"""


@pytest.mark.parametrize("form", FORKS)
def test_fork(collector: FlakyCollector, hosts: Hosts, form: str) -> None:
    host = hosts.start(TELL + textwrap.dedent(FORKS[form]))
    told = dict(map(int, line.split()) for line in host.end().splitlines())
    hosts.drain()
    expected = {number for first in told for number in range(first, first + 100)}
    collector.is_each_once(expected)
    pids = collector.pids()
    assert {first: pids[first] for first in told} == told
    theirs = hosts.spool.with_name("spool-theirs")
    if theirs.exists():  # nothing of ours went into the program's own file
        assert theirs.read_text() == "mine alone " * 20


CHILDREN = """
import concurrent.futures
import multiprocessing

def child(first):
    kibitz.init()
    tell(first)
    return first

if __name__ == "__main__":
    kibitz.init()
    tell(0)
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[2] == "Process":
        children = [context.Process(target=child, args=(1000 * n,)) for n in (1, 2, 3)]
        [each.start() for each in children]
        [each.join() for each in children]
    elif sys.argv[2] == "Pool":
        with context.Pool(2, maxtasksperchild=1) as pool:
            assert pool.map(child, [1000, 2000, 3000], 1) == [1000, 2000, 3000]
            pool.close()
            pool.join()
    else:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(child, [1000, 2000, 3000])) == [1000, 2000, 3000]
"""


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("fork", "Process"),
        ("fork", "Pool"),
        ("fork", "executor"),
        ("spawn", "Process"),
        ("spawn", "executor"),
        ("forkserver", "Process"),
        ("forkserver", "Pool"),
    ],
)
def test_multiprocessing(collector: FlakyCollector, hosts: Hosts, method: str, kind: str) -> None:
    program = hosts.folder / "program.py"
    program.write_text(PRELUDE + TELL + CHILDREN)
    host = hosts.start_command([sys.executable, str(program), method, kind])
    told = dict(map(int, line.split()) for line in host.end().splitlines())
    hosts.drain()
    assert sorted(told) == [0, 1000, 2000, 3000]
    collector.is_each_once({number for first in told for number in range(first, first + 100)})
    pids = collector.pids()
    assert {first: pids[first] for first in told} == told


def test_a_program_started_from_another_one_is_a_process_of_its_own(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    program = """
        import subprocess
        kibitz.init()
        if len(sys.argv) > 1:
            many(range(1000, 1100))
        else:
            many(range(100))
            with open(f"/proc/{os.getpid()}/cmdline", "rb") as file:
                mine = file.read().split(b"\\0")[2]
            subprocess.run([sys.executable, "-c", mine, "child"], check=True)
            nothing = [sys.executable, "-c", "pass"]
            subprocess.run(nothing, check=True, preexec_fn=lambda: work(5000))
    """
    hosts.run_well(program)
    hosts.drain()
    collector.is_each_once({*range(100), *range(1000, 1100), 5000})
