"""The few Linux calls that Python 3.11 lacks: unshare, setns, mount, ambient capabilities.

Sources: unshare(2), setns(2), mount(2), umount2(2), prctl(2), capset(2), capabilities(7).
Each raises OSError with what was tried in its text.
What is not here: which namespaces a lab has (``topology``, ``host``).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _check(result: int, tried: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{tried}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by the flags for new ones."""
    _check(_libc.unshare(flags), "unshare")


def enter(fd: int, kind: int) -> None:
    """Enter the namespace that the descriptor holds; a mount namespace resets root and cwd."""
    _check(_libc.setns(fd, kind), "setns")


def mount(
    source: str, target: Path | str, fstype: str = "", flags: int = 0, options: str = ""
) -> None:
    """Mount something; empty text becomes NULL."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        fstype.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount {fstype or source} on {target}")


def bind(source: Path | str, target: Path | str, *, is_deep: bool = True) -> None:
    """Show a file or folder at a second place, with what is mounted below it when deep."""
    mount(os.fspath(source), target, flags=MS_BIND | (MS_REC if is_deep else 0))


def unmount(target: Path | str) -> None:
    """Take a mount away at once for new users, whoever still holds it (lazy)."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def make_mounts_private() -> None:
    """Let no later mount of this namespace reach the one it was copied from."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent dies (prctl(2))."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "PR_SET_PDEATHSIG")


def keep_capabilities() -> None:
    """Let the capabilities held now survive exec by an ordinary user id (ambient set).

    Entering a user namespace gives all of them, and the next exec would take them away.
    """
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _check(_libc.capget(ctypes.byref(header), data), "capget")
    for half in data:
        half.inheritable = half.permitted
    _check(_libc.capset(ctypes.byref(header), data), "capset")
    for number in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        if data[number // 32].permitted >> (number % 32) & 1:
            _check(
                _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0), "PR_CAP_AMBIENT"
            )
