"""A program does the same with kibitz and without, whatever it hands over or runs out of."""

import textwrap

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts

ODD_VALUES = """
import array, asyncio, collections, dataclasses, decimal, enum, io, itertools, random, types
import uuid, weakref

def bad(*_, **__):
    raise RuntimeError("do not look at me")

class Refuses:
    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __bool__ = __getitem__ = bad
    __contains__ = __format__ = __dir__ = __reduce__ = __float__ = __int__ = __index__ = bad
    __hash__ = object.__hash__
    @property
    def __class__(self):
        raise RuntimeError("nor ask for my class")
    def __getattr__(self, name):
        raise RuntimeError("nor for " + name)

class Answers:  # a mock: has every attribute
    def __getattr__(self, name):
        return Answers()
    def __call__(self, *_, **__):
        return Answers()

class Text(str):
    __str__ = __repr__ = __len__ = encode = bad

class Number(int):
    __str__ = __repr__ = __index__ = __int__ = bad

class Table(dict):
    items = keys = values = __iter__ = __getitem__ = __len__ = bad

@dataclasses.dataclass
class Half:
    value: int
    other: int

class BadError(Exception):
    __str__ = __repr__ = bad

class Exits:
    def __repr__(self):
        sys.exit(7)

cycle = []
cycle.append(cycle)
deep = []
for _ in range(100_000):
    deep = [deep]
half = Half(1, 2)
del half.other
gone = weakref.proxy(Refuses())
generator = (n for n in range(5))
coroutine_like = types.SimpleNamespace(__await__=bad)

VALUES = [
    Refuses(), Answers(), Text("x"), Number(5), Table(a=1), half, BadError(), Exits(), cycle, deep,
    gone, [generator], float("nan"), float("inf"), -0.0, 10**5000, "\\ud800 lone", "a\\0b",
    "\\u202e" * 1000, "e" + "\\u0301" * 10_000, b"\\xff" * 100, bytearray(5), memoryview(b"x"),
    array.array("d", [1.0]), object, bad, lambda: 1, itertools.count(), open(os.devnull),
    io.StringIO("kept"), threading.Lock(), decimal.Decimal("NaN"), uuid.UUID(int=0), range(10**12),
    {1: 2, None: 3, (1, 2): 4, "\\ud800": 5, b"x": 6, 1.5: 7}, {Refuses()}, frozenset([1]),
    collections.deque([1]), collections.Counter("aab"), types.MappingProxyType({"a": 1}),
    {"k" * 10**6: 1}, {str(n): n for n in range(10**5)}, [[]] * 10**5, ..., NotImplemented,
    enum.Enum("Colour", "RED").RED, asyncio.Future.__doc__, sys, "x" * 100_000_000,
]

@kibitz.flow(path="faults/odd")
def same(value, *more, **named):
    kibitz.current().set_output(value)
    kibitz.current().add_metadata({"value": value})
    kibitz.judge(None, "odd", value, explanation=value, metadata={"value": value})
    return value

@kibitz.tool(path="faults/raises")
def raises(error):
    raise error

@kibitz.flow(path="faults/generates")
def generates(value):
    yield value
    yield value

@kibitz.prompt(path="faults/awaits")
async def awaits(value):
    return value

kibitz.init(exit_timeout_s=30)
for value in VALUES:
    assert same(value) is value
    assert same(1, value, named=value) == 1
    with kibitz.session("s", user="u", metadata={"value": value}):
        assert [each is value for each in generates(value)] == [True, True]
    try:
        awaits(value).send(None)
    except StopIteration as stop:
        assert stop.value is value
for error in (BadError("x"), BadError(cycle), KeyError(Refuses()), SystemExit(3), StopIteration(1)):
    try:
        raises(error)
    except BaseException as caught:
        assert caught is error
        assert caught.__traceback__.tb_frame.f_code.co_name == "<module>"
        frames = []
        step = caught.__traceback__
        while step:
            frames.append(step.tb_frame.f_code.co_name)
            step = step.tb_next
        assert frames[-1] == "raises"
say(list(generator), "nothing was read from it")
say(random.Random(3).random())
"""


def run_both(hosts: Hosts, program: str) -> None:
    """Run a program with kibitz and without: all that can be seen from outside is the same."""
    program = textwrap.dedent(program)
    without = hosts.run(program, KIBITZ_ENABLED="0")
    with_it = hosts.run(program)
    assert (with_it.code, with_it.errors) == (without.code, without.errors)
    assert with_it.out == without.out
    assert without.out


def test_odd_values_change_nothing(collector: FlakyCollector, hosts: Hosts) -> None:
    run_both(hosts, ODD_VALUES)
    names = [span["name"] for span in collector.spans if span["endTimeUnixNano"] != "0"]
    assert names.count("faults/odd") > 80
    assert names.count("faults/odd") == 2 * names.count("faults/awaits")
    assert names.count("faults/raises") == 5


ENDS = {
    "exit code": "work(1)\nprint(1)\nsys.exit(5)",
    "uncaught error": """
        @kibitz.flow
        def outer():
            return inner()
        def inner():
            raise ValueError("mine")
        try:
            outer()
        except ValueError as error:
            print(repr(error), error.__context__, error.__cause__)
        print("ends", flush=True)
        sys.exit("with a message")
    """,
    "calls in exit hooks": """
        import atexit
        atexit.register(work, 1)
        work(2)
        print("ends")
    """,
    "calls in finalisers at the very end": """
        class Late:
            def __del__(self, work=work):
                work(3)
        late = Late()
        sys.late = late
        work(2)
        print("ends")
    """,
    "daemon threads that go on": """
        def for_ever():
            while True:
                work(4)
        threads = [threading.Thread(target=for_ever, daemon=True) for _ in range(4)]
        [thread.start() for thread in threads]
        time.sleep(0.1)
        print("ends")
    """,
    "a thread that outlives the main one": """
        def later():
            time.sleep(0.2)
            print(work(5), flush=True)
        threading.Thread(target=later).start()
        work(2)
    """,
    "an event loop that is stopped in the midst": """
        import asyncio
        @kibitz.flow
        async def waits():
            await asyncio.sleep(60)
        async def main():
            task = asyncio.create_task(waits())
            await asyncio.sleep(0.05)
        asyncio.run(main())
        print("ends")
    """,
    "generators left open": """
        @kibitz.flow
        def generates():
            try:
                yield 1
            finally:
                print("closed")
        left = generates()
        print(next(left))
    """,
}


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_program_is_the_same(
    collector: FlakyCollector, hosts: Hosts, end: str
) -> None:
    run_both(
        hosts,
        "import atexit\natexit.register(work, 0)\nkibitz.init()\n" + textwrap.dedent(ENDS[end]),
    )


SHORTAGES = {
    "no descriptors from the beginning": """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError as error:
            print(error)
        kibitz.init()
        many(range(300))
        try:
            os.dup(0)
        except OSError as error:
            print(error)
        [os.close(each) for each in taken]
        many(range(300, 400))
    """,
    "no descriptors later": """
        import resource
        kibitz.init()
        many(range(100))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError as error:
            print(error)
        many(range(100, 300))
        time.sleep(0.3)
        [os.close(each) for each in taken]
        many(range(300, 400))
    """,
    "all descriptors closed": """
        kibitz.init()
        many(range(200))
        time.sleep(0.3)
        os.closerange(3, 300)
        theirs = [os.open("theirs%d" % n, os.O_CREAT | os.O_RDWR | os.O_TRUNC) for n in range(9)]
        many(range(200, 300))
        time.sleep(0.3)
        [os.write(each, b"mine") for each in theirs]
        many(range(300, 400))
        kibitz.shutdown(20)
        [os.write(each, b" alone") for each in theirs]
        [print(os.pread(each, 99, 0)) for each in theirs]
    """,
    "files of any size forbidden": """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        kibitz.init()
        many(range(400))
        print("fine")
    """,
    "no memory to map": """
        import resource
        import email.parser, encodings.idna, http.client, asyncio
        kibitz.init(segment_bytes=2**26)
        work(0)
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**25, now + 2**25))
        many(range(1, 400))
        print("fine")
    """,
    "no more threads": """
        import kibitz._sender
        def refuse(*_):
            raise RuntimeError("can't start new thread")
        kibitz._sender.start_new_thread = refuse
        kibitz.init()
        many(range(400))
        print("fine")
    """,
}


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_shortage_changes_nothing_for_the_program_and_loses_nothing(
    collector: FlakyCollector, hosts: Hosts, shortage: str
) -> None:
    quiet = "import logging\nlogging.getLogger('kibitz').addHandler(logging.NullHandler())\n"
    run_both(hosts, quiet + textwrap.dedent(SHORTAGES[shortage]))
    hosts.drain()
    collector.is_each_once(set(range(400)))


def test_a_disk_that_cannot_be_used_is_said_once(collector: FlakyCollector, hosts: Hosts) -> None:
    hosts.spool.write_text("a file is in the way")
    ended = hosts.run("kibitz.init()\nmany(range(100))\nkibitz.flush(20)\nmany(range(100, 200))")
    (warning,) = ended.errors.splitlines()
    assert "records are kept in memory only" in warning
    collector.is_each_once(set(range(200)))
