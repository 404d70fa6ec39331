"""Calls that end inside the write of another one: in a signal handler, in a garbage collection."""

import re

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts

# Runs `interrupt` before the n-th bytecode that is executed inside the spool, for every n.
AT_EVERY_STEP = """
import kibitz._spool, kibitz._segment
kibitz.init()
runtime = kibitz._runtime.get()
FILES = (kibitz._spool.__file__, kibitz._segment.__file__)
step, wanted = 0, 0

def trace(frame, event, _):
    global step
    if frame.f_code.co_filename not in FILES:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode":
        step += 1
        if step == wanted:
            sys.settrace(None)
            interrupt()
            sys.settrace(trace)
    return trace

def at_every_step(call):
    global step, wanted
    wanted, step = 1, 1
    while step >= wanted - 1:
        step = 0
        sys.settrace(trace)
        try:
            call(wanted)
        finally:
            sys.settrace(None)
        wanted += 1
    return wanted - 2
"""


def test_a_signal_handler_at_any_step_of_the_write_may_end_calls(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    program = (
        "import kibitz._runtime\n"
        + AT_EVERY_STEP
        + """
numbers = iter(range(10**6, 2 * 10**6))

def handle(*_):
    work(next(numbers))

signal.signal(signal.SIGUSR1, handle)

def interrupt():
    signal.raise_signal(signal.SIGUSR1)

steps = at_every_step(work)
say(steps, next(numbers) - 10**6)
os._exit(0)
"""
    )
    host = hosts.start(program)
    steps, inside = map(int, host.line().split())
    host.end()
    assert steps == inside > 100
    hosts.drain()
    collector.is_each_once(set(range(1, steps + 1)) | set(range(10**6, 10**6 + inside)))


def test_a_storm_of_ctrl_c_reaches_the_program_and_loses_no_finished_call(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    program = """
        kibitz.init()
        finished, struck, numbers = [], 0, iter(range(10**6))
        signal.signal(signal.SIGALRM, signal.default_int_handler)

        def storm():
            global struck
            while struck < 300:
                try:
                    for number in numbers:
                        work(number)
                        finished.append(number)
                        if struck >= 300:
                            return
                except KeyboardInterrupt:
                    struck += 1

        signal.setitimer(signal.ITIMER_REAL, 0.004, 0.004)
        while struck < 300:
            try:
                storm()
            except KeyboardInterrupt:
                struck += 1
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        work(-1)
        say(*finished, -1)
        say(kibitz.flush(60).spooled)
    """
    host = hosts.start(program)
    finished = {int(each) for each in host.line().split()}
    assert len(finished) > 100
    assert host.line() == "0"
    host.end()
    collector.is_each_once(finished)


@pytest.mark.parametrize("kind", ["signal", "garbage collection"])
def test_a_storm_of_interruptions_loses_and_doubles_nothing(
    collector: FlakyCollector, hosts: Hosts, kind: str
) -> None:
    program = """
        import gc
        kibitz.init()
        inside = iter(range(10**6, 2 * 10**6))
        is_inside, gone = False, []

        def handle(*_):
            global is_inside
            if not is_inside:
                is_inside = True
                work(next(inside))
                is_inside = False

        class Leaves:
            def __init__(self):
                self.me = self
            def __del__(self):
                handle()
                gone.append(None)

        if sys.argv[1] == "signal":
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        else:
            gc.set_threshold(20, 2, 2)

        def storm(first):
            for number in range(first, first + 2000):
                if sys.argv[1] != "signal":
                    Leaves()
                work(number)

        others = [threading.Thread(target=storm, args=(n * 2000,)) for n in (1, 2)]
        [thread.start() for thread in others]
        storm(0)
        [thread.join() for thread in others]
        signal.setitimer(signal.ITIMER_REAL, 0)
        while sys.argv[1] != "signal" and len(gone) < 6000:
            gc.collect()  # the sender's thread may be in the middle of one, which this does not end
            time.sleep(0.001)
        say(next(inside) - 10**6)
        say(kibitz.flush(60))
    """
    host = hosts.start(program, kind)
    inside = int(host.line() or host.end())
    assert inside > 20
    told = re.findall(r"\d+", host.line())
    host.end()
    assert [int(each) for each in told] == [6000 + inside, 0, 0, 0]
    collector.is_each_once(set(range(6000)) | set(range(10**6, 10**6 + inside)))
