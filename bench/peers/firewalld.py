"""firewalld: a rich rule with a timeout, added by firewall-cmd over D-Bus.

Sources: firewalld(1) (--system-config, --nofork, --nopid), firewall-cmd(1) (--add-rich-rule,
--timeout in seconds), firewalld.richlanguage(5), dbus-daemon(1). It has a bus of its own in the
run's folder, and /run and /etc/firewalld of its own mount namespace; the host's are not touched.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.listener import PROGRAM as LISTENER
from bench.netns import CLIENT_ADDRESS, SERVER_ADDRESS, pair, run
from bench.packages import find
from bench.peers import Ready
from bench.standing import daemon, program

PROGRAMS = ("firewalld", "firewall-cmd", "dbus-daemon", "iptables", "setpriv")
_START_SECONDS = 20.0

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="root"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


@contextlib.contextmanager
def standing(folder: Path, port: int, lease_seconds: int) -> Iterator[Ready]:
    """Have firewalld keep a namespace, where all but ssh is refused by its default zone."""
    socket = folder / "bus"
    (folder / "bus.conf").write_text(_BUS.format(socket=socket))
    (folder / "config").mkdir()
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(pair("firewalld"))
        listener = stack.enter_context(program("listener", net.at_server, LISTENER, str(port)))
        listener.hear()
        bus = [find("dbus-daemon") or "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog"]
        stack.enter_context(daemon([*net.at_server, *bus, f"--config-file={folder}/bus.conf"]))
        _wait(socket.exists, "its D-Bus daemon")
        stack.enter_context(daemon([*net.at_server, *_daemon_command(folder)], environment))
        command = find("firewall-cmd") or "firewall-cmd"
        _wait(lambda: _answers(command, environment), "firewalld")
        rule = (
            f"rule family=ipv4 source address={CLIENT_ADDRESS}/32"
            f" port port={port} protocol=tcp accept"
        )
        yield Ready(
            at_client=net.at_client,
            address=SERVER_ADDRESS,
            port=port,
            question={
                "argv": [command, f"--add-rich-rule={rule}", f"--timeout={lease_seconds}"],
                "environment": environment,
                "lease_seconds": lease_seconds,
            },
            version=run(command, "--version", environment=environment).strip(),
        )


def _daemon_command(folder: Path) -> list[str]:
    return [
        find("firewalld") or "firewalld",
        "--nofork",
        "--nopid",
        f"--system-config={folder}/config",
        f"--log-file={folder}/log",
    ]


def _answers(command: str, environment: dict[str, str]) -> bool:
    done = subprocess.run([command, "--state"], env=environment, capture_output=True, check=False)
    return done.returncode == 0


def _wait(is_there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise OSError(f"{what} did not start within {_START_SECONDS:.0f} s")
        time.sleep(0.1)
