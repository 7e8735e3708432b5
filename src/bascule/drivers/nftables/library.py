"""libnftables by ctypes: one context, which is the only writer of our tables.

Source: libnftables(3). Commands are nft's own text, one buffer is one transaction. The
context's netlink socket is what ``flags owner`` binds a table to: whoever holds a copy of
``owner_fd`` keeps the table owned. The socket lives in the network namespace in which the
context was made. A context may be used by one thread at a time (the driver locks).

Names are never resolved: input by NFT_CTX_INPUT_NO_DNS, output by numeric flags. A comment
of 254 bytes would end this process inside the library: ``render`` writes none above 64.
"""

from __future__ import annotations

import ctypes
import os
import socket
import stat
from pathlib import Path

from bascule.errors import ConfigurationError, EnforcementFailed

SONAME = "libnftables.so.1"
_INPUT_NO_DNS = 1 << 0
_NUMERIC_PROTO, _NUMERIC_PRIO, _NUMERIC_SYMBOL = 1 << 7, 1 << 8, 1 << 9
_STATELESS, _HANDLES = 1 << 2, 1 << 3
_NUMERIC = _NUMERIC_PROTO | _NUMERIC_PRIO | _NUMERIC_SYMBOL  # NUMERIC_TIME drops milliseconds
_NETFILTER = 12  # NETLINK_NETFILTER
_WORDS = 300  # characters of the library's complaint that are passed on

NOT_PERMITTED = os.strerror(1)
EXISTS = os.strerror(17)
ABSENT = os.strerror(2)


class Context:
    """One libnftables context."""

    def __init__(self) -> None:
        self._library = _load()
        _require_netfilter()
        before = _netfilter_sockets()
        self._handle = self._library.nft_ctx_new(0)
        if not self._handle:
            raise ConfigurationError(
                "libnftables cannot open a netlink socket.",
                advice="Check that this kernel has nf_tables: modprobe nf_tables.",
            )
        made = _netfilter_sockets() - before
        if len(made) != 1:
            raise ConfigurationError(
                f"libnftables opened {len(made)} netlink sockets where one was expected.",
                advice="Make the driver before other threads open netlink sockets.",
            )
        self.owner_fd = made.pop()
        self._configure()

    def _configure(self) -> None:
        library, handle = self._library, self._handle
        if hasattr(library, "nft_ctx_input_set_flags"):  # since nft 1.1
            library.nft_ctx_input_set_flags(handle, _INPUT_NO_DNS)
        library.nft_ctx_output_set_flags(handle, _NUMERIC)
        library.nft_ctx_buffer_output(handle)
        library.nft_ctx_buffer_error(handle)

    def run(self, text: str) -> str:
        """Run ``text`` as one transaction and return what it prints.

        Raises EnforcementFailed with nft's words; then nothing of it was done.
        """
        code = self._library.nft_run_cmd_from_buffer(self._handle, text.encode())
        output = self._library.nft_ctx_get_output_buffer(self._handle).decode(errors="replace")
        errors = self._library.nft_ctx_get_error_buffer(self._handle).decode(errors="replace")
        if code != 0:
            raise EnforcementFailed(
                f"nftables refused: {_complaint(errors)}", advice=_advice(errors)
            )
        return str(output)

    def run_for_handles(self, text: str) -> str:
        """``run`` of a listing: each rule with its handle, and without what it has counted."""
        self._library.nft_ctx_output_set_flags(self._handle, _NUMERIC | _STATELESS | _HANDLES)
        try:
            return self.run(text)
        finally:
            self._library.nft_ctx_output_set_flags(self._handle, _NUMERIC)

    def check(self, text: str) -> None:
        """Let the kernel judge ``text`` without doing it. Raises EnforcementFailed."""
        self._library.nft_ctx_set_dry_run(self._handle, True)
        try:
            self.run(text)
        finally:
            self._library.nft_ctx_set_dry_run(self._handle, False)

    def close(self) -> None:
        """Free the context; a table owned by its socket alone becomes nobody's."""
        if self._handle:
            self._library.nft_ctx_free(self._handle)
            self._handle = None


def says(error: EnforcementFailed, words: str) -> bool:
    """Did the kernel give this reason (NOT_PERMITTED, EXISTS, ABSENT)?"""
    return words in error.message


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(SONAME)
    except OSError as error:
        raise ConfigurationError(
            f"{SONAME} is not installed: {error}.",
            advice="Install it: apt install libnftables1, dnf install nftables, "
            "or apk add nftables.",
        ) from error
    context, text = ctypes.c_void_p, ctypes.c_char_p
    _declare(library, "nft_ctx_new", context, ctypes.c_uint32)
    _declare(library, "nft_ctx_free", None, context)
    _declare(library, "nft_ctx_buffer_output", ctypes.c_int, context)
    _declare(library, "nft_ctx_buffer_error", ctypes.c_int, context)
    _declare(library, "nft_ctx_get_output_buffer", text, context)
    _declare(library, "nft_ctx_get_error_buffer", text, context)
    _declare(library, "nft_ctx_output_set_flags", None, context, ctypes.c_uint)
    _declare(library, "nft_ctx_set_dry_run", None, context, ctypes.c_bool)
    _declare(library, "nft_run_cmd_from_buffer", ctypes.c_int, context, text)
    if hasattr(library, "nft_ctx_input_set_flags"):
        _declare(library, "nft_ctx_input_set_flags", ctypes.c_uint, context, ctypes.c_uint)
    return library


def _require_netfilter() -> None:
    """The library ends the process where there is no such socket to be had."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER).close()
    except OSError as error:
        raise ConfigurationError(
            f"Linux {os.uname().release} has no netfilter, so no port can be closed: {error.strerror}.",
            advice="Bascule needs Linux 5.10 or later with nf_tables: modprobe nf_tables.",
        ) from error


def _declare(library: ctypes.CDLL, name: str, result: object, *arguments: object) -> None:
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments


def _netfilter_sockets() -> set[int]:
    """Descriptors of this process that are NETLINK_NETFILTER sockets."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        if _is_netfilter(number):
            found.add(number)
    return found


def _is_netfilter(descriptor: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            return copy.family == socket.AF_NETLINK and copy.proto == _NETFILTER
    except OSError:  # closed since: it was the listing's own
        return False


def _complaint(errors: str) -> str:
    lines = [line.removeprefix("Error: ") for line in errors.splitlines() if "rror" in line]
    return (lines[0] if lines else errors.strip() or "no reason given")[:_WORDS]


def _advice(errors: str) -> str:
    if NOT_PERMITTED in errors:
        return (
            "Another process owns the table, or this one lacks CAP_NET_ADMIN in its network "
            "namespace."
        )
    return ""
