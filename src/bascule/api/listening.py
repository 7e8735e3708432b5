"""Listening sockets: ours by address, or handed over by whoever started us.

Source: socket(7), ipv6(7) (IPV6_V6ONLY: an address is listened on in its own family alone,
so that ``[::]`` and ``0.0.0.0`` can both be had), systemd's sd_listen_fds(3) for the rest.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from bascule.errors import ConfigurationError

BACKLOG = 4096


def bind_to(addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Have each (address, port), to be listened on later; all or none.

    Nobody is connected before ``listen``. Raises ConfigurationError, naming it.
    """
    listeners: list[socket.socket] = []
    try:
        for host, port in addresses:
            listeners.append(_bind(host, port))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def take_over(passed: Sequence[socket.socket]) -> list[socket.socket]:
    """Make sockets that were handed over usable here; refuse what cannot be listened on."""
    for listener in passed:
        if listener.family not in (socket.AF_INET, socket.AF_INET6) or (
            listener.type & socket.SOCK_STREAM != socket.SOCK_STREAM
        ):
            raise ConfigurationError(
                "A socket that was passed to this server is not a TCP socket.",
                advice="Check ListenStream= in the socket unit that starts it.",
            )
        listener.setblocking(False)
        listener.listen(BACKLOG)
    return list(passed)


def listen(listeners: Sequence[socket.socket]) -> None:
    """Let callers connect. Raises ConfigurationError: another program may have been quicker."""
    for listener in listeners:
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            raise _why(*address_of(listener), error) from error


def address_of(listener: socket.socket) -> tuple[str, int]:
    host, port, *_ = listener.getsockname()
    return host, port


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _why(host, port, error) from error
    return listener


def _why(host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {port} on {host} is in use by another program.",
            advice=f"To see which: ss -ltnp sport = :{port}. Or choose another port with --listen.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigurationError(
            f"This machine has no address {host} to listen on.",
            advice="Give --listen an address that `ip address` shows.",
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"Port {port} on {host} is a privileged port.",
            advice="Add AmbientCapabilities=CAP_NET_BIND_SERVICE to the server's unit, use a "
            "socket unit, or choose a port from 1024 on with --listen.",
        )
    return ConfigurationError(f"Port {port} on {host} cannot be listened on: {error.strerror}.")
