"""fwknop: single packet authorization; a daemon adds an iptables rule and takes it out again.

Sources: fwknopd(8) (access.conf: OPEN_PORTS, FW_ACCESS_TIMEOUT; fwknopd.conf), fwknop(8)
(rc file stanzas). Its keys are made new for each run. Its directories lie in the run's own
folder; nothing of /etc/fwknop is read or written.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.listener import PROGRAM as LISTENER
from bench.netns import CABLE, CLIENT_ADDRESS, SERVER_ADDRESS, Pair, pair, run
from bench.packages import find
from bench.peers import Ready
from bench.standing import daemon, program

PROGRAMS = ("fwknopd", "fwknop", "iptables", "setpriv")
_START_SECONDS = 5.0


@contextlib.contextmanager
def standing(folder: Path, port: int, lease_seconds: int) -> Iterator[Ready]:
    """Have fwknopd keep ``port`` of a namespace; ``folder`` is empty and private."""
    rc_file = _write_configuration(folder, port, lease_seconds)
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(pair("fwknop"))
        _shut(net, port)
        listener = stack.enter_context(program("listener", net.at_server, LISTENER, str(port)))
        listener.hear()
        stack.enter_context(daemon([*net.at_server, *_daemon_command(folder)]))
        _wait_for_daemon(net)
        argv = [find("fwknop") or "fwknop", "--rc-file", str(rc_file), "--no-save-args"]
        environment = {"HOME": str(folder), "PATH": os.environ.get("PATH", "")}
        yield Ready(
            at_client=net.at_client,
            address=SERVER_ADDRESS,
            port=port,
            question={
                "argv": [*argv, "-n", "server"],
                "environment": environment,
                "lease_seconds": lease_seconds,
            },
            version=_version(argv[0], environment),
        )


def _version(command: str, environment: Mapping[str, str]) -> str:
    """Its client writes a file into HOME whenever there is none, and says so first."""
    told = run(command, "--version", environment=environment).strip().splitlines()[-1]
    return told.split(",")[0].removeprefix("fwknop client ")


def _write_configuration(folder: Path, port: int, lease_seconds: int) -> Path:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    hmac_key = base64.b64encode(secrets.token_bytes(64)).decode()
    _write(
        folder / "access.conf",
        [
            "SOURCE ANY",
            f"KEY_BASE64 {key}",
            f"HMAC_KEY_BASE64 {hmac_key}",
            f"OPEN_PORTS tcp/{port}",
            f"FW_ACCESS_TIMEOUT {lease_seconds}",
        ],
    )
    _write(
        folder / "fwknopd.conf",
        [f"PCAP_INTF {CABLE};", f"FWKNOP_RUN_DIR {folder};", f"FWKNOP_CONF_DIR {folder};"],
    )
    rc_file = folder / "fwknoprc"
    _write(
        rc_file,
        [
            "[server]",
            f"SPA_SERVER {SERVER_ADDRESS}",
            f"ALLOW_IP {CLIENT_ADDRESS}",
            f"ACCESS tcp/{port}",
            f"KEY_BASE64 {key}",
            f"HMAC_KEY_BASE64 {hmac_key}",
            "USE_HMAC Y",
        ],
    )
    return rc_file


def _write(path: Path, lines: list[str]) -> None:
    """fwknop warns of files that others may read."""
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def _daemon_command(folder: Path) -> list[str]:
    return [
        find("fwknopd") or "fwknopd",
        "--foreground",
        "--config-file",
        str(folder / "fwknopd.conf"),
        "--access-file",
        str(folder / "access.conf"),
    ]


def _shut(net: Pair, port: int) -> None:
    """The rules that fwknop's manual asks for: established first, the port dropped."""
    for rule in (
        ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
        ["-p", "tcp", "--dport", str(port), "-j", "DROP"],
    ):
        iptables = find("iptables") or "iptables"
        run("ip", "netns", "exec", net.server, iptables, "-w", "-A", "INPUT", *rule)


def _wait_for_daemon(net: Pair) -> None:
    """It is ready when its chain stands; a daemon that did not start leaves none."""
    deadline = time.monotonic() + _START_SECONDS
    iptables = find("iptables") or "iptables"
    while "FWKNOP_INPUT" not in run("ip", "netns", "exec", net.server, iptables, "-w", "-S"):
        if time.monotonic() > deadline:
            raise OSError("fwknopd did not set its chain up")
        time.sleep(0.05)
    time.sleep(0.5)  # between its chain and its first look for packets it has more to set up
