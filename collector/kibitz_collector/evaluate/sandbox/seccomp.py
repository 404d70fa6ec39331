"""The list of system calls sandboxed code may make, as a BPF program, for x86_64 and aarch64.

Sent as text to the jail's child program: standard library and ctypes only. Whatever is not listed
answers EPERM; calls of another architecture (or x32) kill. Source: linux/seccomp.h, linux/filter.h,
asm/unistd_64.h, asm-generic/unistd.h, Linux 6.x.
"""

import ctypes
import os
import struct

ANSWER_FD = 1
_PROT_EXEC = 4
_SECCOMP_MODE_FILTER = 2
_PR_SET_SECCOMP = 22
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_X32_BIT = 0x40000000

# BPF: load word at offset, jump if equal / greater-or-equal / any bit set, return.
_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# struct seccomp_data: nr, arch, instruction pointer, then six 64-bit arguments (low word first).
_NR, _ARCH = 0, 4
_ARGUMENT_LOW = (16, 24, 32, 40, 48, 56)
_ARGUMENT_HIGH = (20, 28, 36, 44, 52, 60)

X86_64 = {
    "read": 0, "close": 3, "fstat": 5, "lseek": 8, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28,
    "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131,
    "gettid": 186, "futex": 202, "set_tid_address": 218, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "set_robust_list": 273,
    "epoll_pwait": 281, "getrandom": 318, "rseq": 334,
    "write": 1, "mmap": 9, "mprotect": 10,
}  # fmt: skip
AARCH64 = {
    "epoll_pwait": 22, "close": 57, "lseek": 62, "read": 63, "fstat": 80, "exit": 93,
    "exit_group": 94, "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
    "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_yield": 124,
    "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
    "gettimeofday": 169, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216,
    "madvise": 233, "getrandom": 278, "rseq": 293,
    "write": 64, "mmap": 222, "mprotect": 226,
}  # fmt: skip
ARCHITECTURES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
_BY_ARGUMENT = ("write", "mmap", "mprotect")


def assemble(machine: str) -> bytes:
    """Return the filter program for a machine (`os.uname().machine`).

    Raises: KeyError: there is no table for this architecture.
    """
    audit_arch, numbers = ARCHITECTURES[machine]
    code = [_op(_LOAD, _ARCH), _op(_JEQ, audit_arch, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NR)]
    if machine == "x86_64":
        code += [_op(_JGE, _X32_BIT, 0, 1), _op(_RETURN, _KILL)]
    for name, number in numbers.items():
        if name not in _BY_ARGUMENT:
            code += [_op(_JEQ, number, 0, 1), _op(_RETURN, _ALLOW)]
    code += [
        _op(_JEQ, numbers["write"], 0, 6),
        _op(_LOAD, _ARGUMENT_HIGH[0]),
        _op(_JEQ, 0, 0, 3),
        _op(_LOAD, _ARGUMENT_LOW[0]),
        _op(_JEQ, ANSWER_FD, 0, 1),
        _op(_RETURN, _ALLOW),
        _op(_RETURN, _EPERM),
    ]
    for name in ("mmap", "mprotect"):
        code += [
            _op(_JEQ, numbers[name], 0, 4),
            _op(_LOAD, _ARGUMENT_LOW[2]),
            _op(_JSET, _PROT_EXEC, 0, 1),
            _op(_RETURN, _EPERM),
            _op(_RETURN, _ALLOW),
        ]
    return b"".join([*code, _op(_RETURN, _EPERM)])


def install(program: bytes) -> None:
    """Put the filter on this process, for ever.

    Raises: OSError: the kernel refused; no user code may run then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: unsigned short length, pointer to the instructions.
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    fprog = ctypes.create_string_buffer(header, len(header))
    done = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp cannot be installed: {os.strerror(number)}")


def _op(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)
