"""What a lab needs from the machine, looked at before anything is made.

Sources: user_namespaces(7), unshare(1); Debian's kernel.unprivileged_userns_clone, Ubuntu's
kernel.apparmor_restrict_unprivileged_userns. Every missing thing is named at once.
"""

from __future__ import annotations

import errno
import socket
import subprocess
import time
from collections.abc import Mapping

from bascule.errors import ConfigurationError
from bascule.lab.environment import find_tool

LOOPBACK = "127.0.0.1"
_PACKAGES = {  # tool: Debian package
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}
_ROOTLESS_PACKAGES = {"unshare": "util-linux"}
UNSHARE = ("--user", "--map-current-user", "--keep-caps", "--net", "--mount")
_BACKLOG = 512
_PORT_SECONDS = 3.0  # how long a port that is in use is waited for
_TRIES = 50


def check_tools(firewall: Mapping[str, str], *, is_rootless: bool) -> None:
    """Raise ConfigurationError that names all missing programs and the packages to install.

    ``firewall``: those that its hosts' driver needs, each with its package.
    """
    wanted = {**_PACKAGES, **firewall} | (_ROOTLESS_PACKAGES if is_rootless else {})
    missing = {tool: package for tool, package in wanted.items() if find_tool(tool) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise ConfigurationError(
            f"the lab needs {', '.join(missing)}, which this machine does not have",
            advice=f"on Debian: apt-get install {packages}",
        )


def check_user_namespaces() -> None:
    """Raise ConfigurationError when an ordinary user may not make namespaces here."""
    tool = find_tool("unshare") or "unshare"
    done = subprocess.run([tool, *UNSHARE, "true"], capture_output=True, text=True, check=False)  # noqa: S603  # reason: a list, no shell
    if done.returncode != 0:
        raise ConfigurationError(
            f"this machine does not let you create a user namespace: {done.stderr.strip()}",
            advice="run the lab as root, or allow it: sysctl kernel.unprivileged_userns_clone=1"
            " (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu),"
            " user.max_user_namespaces above 0",
        )


def listen_on_loopback(port: int) -> socket.socket:
    """Bind the host's own port for the server, which keeps it whatever namespace it runs in."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            # The dying server of a lab that was just cleared lets go a moment later.
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            listener.close()
            raise _port_error(port, error) from error
        return listener


def _port_error(port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        free = _free_port_after(port)
        hint = f"--port {free}" if free else "--port PORT"
        return ConfigurationError(
            f"port {port} of {LOOPBACK} is in use by another program",
            advice=f"choose another: bascule lab up {hint}; `ss -ltnp 'sport = :{port}'` shows "
            f"which program uses it",
        )
    return ConfigurationError(
        f"port {port} of {LOOPBACK} cannot be used: {error.strerror}",
        advice="choose another with --port, 1024 or above",
    )


def _free_port_after(port: int) -> int:
    """The next port that can be bound, 0 when none is near."""
    for candidate in range(port + 1, min(port + _TRIES, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            try:
                trial.bind((LOOPBACK, candidate))
            except OSError:
                continue
            return candidate
    return 0
