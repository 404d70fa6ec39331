"""Takes every file, port and foreign signal away from the jail's zygote: Landlock without rules.

Sent as text to the jail's child program: standard library and ctypes only. The second layer;
seccomp is the one that must hold. Source: linux/landlock.h, ABI 1 to 6.
"""

import ctypes
import os
import struct

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same numbers on every architecture
_GET_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38
_FS_BY_ABI = {1: 13, 2: 14, 3: 15, 5: 16}  # how many of the access bits the ABI knows
_NET_BITS = 0b11  # bind, connect (TCP)
_SCOPED_BITS = 0b11  # abstract unix sockets, signals


def forbid_new_privileges() -> None:
    """Set no_new_privs.

    Raises: OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")


def restrict() -> int:
    """Allow nothing from now on; return the ABI used, 0 when this kernel has no Landlock."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    abi = int(libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION))
    if abi < 1:
        return 0
    filesystem = (1 << max(n for least, n in _FS_BY_ABI.items() if abi >= least)) - 1
    attributes = struct.pack("=Q", filesystem)
    if abi >= 4:
        attributes += struct.pack("=Q", _NET_BITS)
    if abi >= 6:
        attributes += struct.pack("=Q", _SCOPED_BITS)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = int(libc.syscall(_CREATE_RULESET, buffer, len(attributes), 0))
    if ruleset < 0:
        return 0
    try:
        return abi if libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)
