"""Which engine is taken, and when none may be."""

import sys

import pytest

from kibitz_collector.config import Settings
from kibitz_collector.errors import SetupError
from kibitz_collector.evaluate import sandbox
from kibitz_collector.evaluate.sandbox import Limits, open_sandbox, seccomp

LOG = {"n": 1}
SOURCE = "def evaluator(log): return log['n'] == 1"


@pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux only")
def test_auto_takes_the_jail_and_says_why() -> None:
    opened = open_sandbox(Settings())
    try:
        assert opened.engine == "jail"
        assert "self-test passed: seccomp" in opened.reason
        assert opened.run(SOURCE, [LOG], return_type="boolean")[0].value is True
    finally:
        opened.close()


def test_auto_falls_back_to_monty_where_there_is_no_jail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    opened = open_sandbox(Settings())
    try:
        assert opened.engine == "monty"
        assert opened.reason == "the jail needs Linux, this is darwin"
        assert opened.run(SOURCE, [LOG], return_type="boolean")[0].value is True
    finally:
        opened.close()


def test_jail_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SetupError, match="needs Linux"):
        open_sandbox(Settings(sandbox="jail"))


@pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux only")
def test_jail_that_does_not_hold_is_refused() -> None:
    unlocked = sandbox.Jail(is_hardened=False)
    try:
        with pytest.raises(SetupError, match="does not hold: fork, kill, list, open, socket"):
            sandbox.self_test(unlocked)
    finally:
        unlocked.close()


def test_unsafe_engine_runs_what_is_installed_here() -> None:
    opened = open_sandbox(Settings(sandbox="local-unsafe"))
    try:
        assert opened.engine == "local-unsafe"
        source = "import orjson, os\ndef evaluator(log): return os.path.exists('/')"
        assert opened.run(source, [LOG], return_type="boolean")[0].value is True
    finally:
        opened.close()


def test_unsafe_engine_is_refused_off_loopback() -> None:
    with pytest.raises(SetupError, match=r"refused while listening on 0\.0\.0\.0"):
        open_sandbox(Settings(sandbox="local-unsafe", host="0.0.0.0"))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_allows_exactly_the_calls_of_the_list(machine: str) -> None:
    """Runs the program through a small BPF interpreter, call by call."""
    audit_arch, numbers = seccomp.ARCHITECTURES[machine]
    program = seccomp.assemble(machine)
    allow, kill, eperm = 0x7FFF0000, 0x80000000, 0x00050001
    by_argument = {numbers[name] for name in ("write", "mmap", "mprotect")}
    for number in range(1000):
        verdict = run_bpf(program, number, audit_arch, [0, 0, 0, 0, 0, 0])
        listed = number in numbers.values() and number not in by_argument
        listed |= number in by_argument - {numbers["write"]}
        assert verdict == (allow if listed else eperm), number
    for fd, wanted in [(1, allow), (0, eperm), (2, eperm), (1 + 2**32, eperm)]:
        assert run_bpf(program, numbers["write"], audit_arch, [fd, 0, 0, 0, 0, 0]) == wanted
    for name in ("mmap", "mprotect"):
        for protection in range(8):
            wanted = eperm if protection & 4 else allow
            arguments = [0, 0, protection, 0, 0, 0]
            assert run_bpf(program, numbers[name], audit_arch, arguments) == wanted
    assert run_bpf(program, numbers["read"], 0x40000003, [0] * 6) == kill
    if machine == "x86_64":
        assert run_bpf(program, 0x40000000, audit_arch, [0] * 6) == kill


def run_bpf(program: bytes, number: int, arch: int, arguments: list[int]) -> int:
    import struct

    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments)
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, k)
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case 0x45:
                at += if_true if accumulator & k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def test_limits_follow_the_settings() -> None:
    opened = open_sandbox(Settings(sandbox="local-unsafe", evaluator_timeout_s=0.2))
    try:
        (verdict,) = opened.run(
            "def evaluator(log):\n    while True: pass", [LOG], return_type="boolean"
        )
        assert verdict.error is not None
        assert verdict.error.message == "not finished after 0.2 s"
        assert Limits().wall_s == 2.0
    finally:
        opened.close()
