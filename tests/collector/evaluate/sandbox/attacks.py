"""Evaluators that try to escape or to starve others; each returns True when it succeeded."""

RAW_SYSCALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
"""

ATTACKS: dict[str, str] = {
    "reads a file": """
def evaluator(log):
    return "root" in open("/etc/passwd").read()
""",
    "reads a file through os": """
import os
def evaluator(log):
    return os.open("/etc/passwd", os.O_RDONLY) >= 0
""",
    "reads a file through io of the loader": """
import json
def evaluator(log):
    return len(json.__loader__.get_data("/etc/hostname")) >= 0
""",
    "writes a file": """
def evaluator(log):
    with open("/tmp/kibitz-escape", "w") as file:
        file.write("x")
    return True
""",
    "lists a folder": """
import os
def evaluator(log):
    return len(os.listdir("/")) > 0
""",
    "asks whether a file exists": """
import os
def evaluator(log):
    os.stat("/etc/passwd")
    return True
""",
    "removes a file": """
import os
def evaluator(log):
    os.remove("/tmp/kibitz-escape-target")
    return True
""",
    "reads the environment": """
import os
def evaluator(log):
    return len(os.environ) > 0
""",
    "reads the environment of its process": """
def evaluator(log):
    return len(open("/proc/self/environ").read()) >= 0
""",
    "reads its memory map": """
def evaluator(log):
    return "heap" in open("/proc/self/maps").read()
""",
    "reads its parent's command line": """
import os
def evaluator(log):
    return len(open(f"/proc/{os.getppid()}/cmdline").read()) > 0
""",
    "sees a name of the host": """
import os
def evaluator(log):
    return bool(os.uname().nodename)
""",
    "sees where its program lives": """
import sys
def evaluator(log):
    frame, names = sys._getframe(), []
    while frame is not None:
        names.append(frame.f_code.co_filename)
        frame = frame.f_back
    text = " ".join([*names, *sys.path, *sys.argv, *sys.orig_argv, sys.executable, sys.prefix])
    return "kibitz" in text or ".venv" in text
""",
    "makes a socket": """
import socket
def evaluator(log):
    socket.socket()
    return True
""",
    "connects to the collector": """
import socket
def evaluator(log):
    socket.create_connection(("127.0.0.1", 4318), 0.2)
    return True
""",
    "makes a unix socket": """
import socket
def evaluator(log):
    socket.socketpair()
    return True
""",
    "looks up a name": """
import socket
def evaluator(log):
    return len(socket.getaddrinfo("localhost", 80)) > 0
""",
    "forks": """
import os
def evaluator(log):
    if os.fork() == 0:
        os._exit(0)
    return True
""",
    "bombs with forks": """
import os
def evaluator(log):
    made = 0
    for _ in range(1000):
        try:
            if os.fork() == 0:
                while True:
                    pass
            made += 1
        except OSError:
            pass
    return made > 0
""",
    "starts a thread": """
import threading
def evaluator(log):
    threading.Thread(target=print).start()
    return True
""",
    "runs a program": """
import os
def evaluator(log):
    os.execv("/bin/true", ["true"])
""",
    "spawns a program": """
import os
def evaluator(log):
    return os.posix_spawn("/bin/true", ["true"], {}) > 0
""",
    "runs a shell": """
import os
def evaluator(log):
    return os.system("true") == 0
""",
    "kills its parent": """
import os, signal
def evaluator(log):
    os.kill(os.getppid(), signal.SIGKILL)
    return True
""",
    "kills everything": """
import os, signal
def evaluator(log):
    os.kill(-1, signal.SIGKILL)
    return True
""",
    "opens a file by a raw system call": RAW_SYSCALL
    + """
def evaluator(log):
    path = b"/etc/passwd"
    return libc.syscall(257, -100, path, 0) >= 0 or libc.syscall(2, path, 0) >= 0
""",
    "makes a socket by a raw system call": RAW_SYSCALL
    + """
def evaluator(log):
    return libc.syscall(41, 2, 1, 0) >= 0
""",
    "traces another process": RAW_SYSCALL
    + """
import os
def evaluator(log):
    return libc.syscall(101, 16, os.getppid(), 0, 0) == 0
""",
    "uses io_uring": RAW_SYSCALL
    + """
def evaluator(log):
    return libc.syscall(425, 8, ctypes.create_string_buffer(256)) >= 0
""",
    "makes a user namespace": RAW_SYSCALL
    + """
def evaluator(log):
    return libc.syscall(272, 0x10000000) == 0
""",
    "maps memory it can run": RAW_SYSCALL
    + """
def evaluator(log):
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))
    return at not in (None, ctypes.c_void_p(-1).value)
""",
    "makes its memory runnable": RAW_SYSCALL
    + """
def evaluator(log):
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))
    return libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 5) == 0
""",
    "uses the numbers of x32": RAW_SYSCALL
    + """
def evaluator(log):
    return libc.syscall(0x40000000 + 2, b"/etc/passwd", 0) >= 0
""",
    "lifts its memory limit": """
import resource
def evaluator(log):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return True
""",
    "walks the object graph to os.system": """
def evaluator(log):
    for cls in ().__class__.__base__.__subclasses__():
        if cls.__name__ == "_wrap_close":
            return cls.__init__.__globals__["system"]("true") == 0
    return False
""",
    "imports what was hidden": """
import sys
def evaluator(log):
    sys.path.append("/usr/lib/python3")
    import subprocess
    return subprocess.run(["true"]).returncode == 0
""",
    "loops for ever, swallowing everything": """
def evaluator(log):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "sleeps for ever": """
import time
def evaluator(log):
    time.sleep(3600)
""",
    "ignores signals and loops": """
import signal
def evaluator(log):
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
""",
    "loops while it is loaded": """
while True:
    pass
def evaluator(log):
    return True
""",
    "bombs with a regular expression": """
import re
def evaluator(log):
    return re.match(r"(a+)+$", "a" * 60 + "b") is not None
""",
    "takes ten gigabytes": """
def evaluator(log):
    return len(bytearray(10 * 2**30)) > 0
""",
    "takes memory bit by bit": """
def evaluator(log):
    kept = []
    while True:
        kept.append(bytearray(2**20))
""",
    "makes a number too large to print": """
def evaluator(log):
    return len(str(9 ** 9 ** 9)) > 0
""",
    "recurses without end": """
def evaluator(log):
    return evaluator(log)
""",
    "recurses past the stack": """
import sys
def evaluator(log):
    sys.setrecursionlimit(10**9)
    return evaluator(log)
""",
    "floods its output": """
def evaluator(log):
    while True:
        print("x" * 10_000)
""",
    "returns a value that nests too deep": """
def evaluator(log):
    value = []
    for _ in range(100_000):
        value = [value]
    return value
""",
    "returns two megabytes": """
def evaluator(log):
    return "x" * 2**21
""",
    "floods the channel of answers": """
import os
def evaluator(log):
    while True:
        os.write(1, b"x" * 65536)
""",
    "announces an answer of four gigabytes": """
import os, time
def evaluator(log):
    os.write(1, b"\\xff\\xff\\xff\\xff")
    time.sleep(60)
""",
    "writes an answer by itself": """
import json, os, struct
def evaluator(log):
    text = json.dumps({"n": "guess", "value": True}).encode()
    os.write(1, struct.pack(">I", len(text)) + text)
    return False
""",
    "answers with an object that lies": """
class Liar(dict):
    def __iter__(self): raise SystemExit
    def items(self): raise SystemExit
def evaluator(log):
    return Liar(a=1)
""",
    "answers with NaN": """
def evaluator(log):
    return float("nan")
""",
    "raises an error that cannot be shown": """
class Bad(BaseException):
    def __str__(self): raise self
def evaluator(log):
    raise Bad
""",
    "ends its process": """
import os
def evaluator(log):
    os._exit(0)
""",
    "crashes the interpreter": """
import ctypes
def evaluator(log):
    ctypes.string_at(0)
""",
    "closes its channel": """
import os
def evaluator(log):
    os.close(1)
    return True
""",
}
