"""The server as a systemd service: its unit, its account and the file of its options, as text.

The package bascule-server brings them; ``bascule admin install-server`` writes them where the program came another
way. Sources: systemd.unit(5), systemd.service(5), systemd.exec(5), sysusers.d(5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

UNIT_NAME = "bascule.service"
ACCOUNT = "bascule"
DATA = "/var/lib/bascule"
OPTIONS_FILE = "/etc/default/bascule-server"
ACCOUNT_LINE = f'u {ACCOUNT} - "Bascule server" {DATA} /usr/sbin/nologin'

OPTIONS = """\
# Options of "bascule serve" for bascule.service; see bascule-serve(1). For example:
#BASCULE_SERVE="--listen 0.0.0.0:8443 --name bascule.example"
# Write no password here: --database-password-file names a file that has it.
BASCULE_SERVE=
"""

_UNIT = """\
[Unit]
Description=Bascule server: just-in-time access to ports, and its audit record
Documentation=man:bascule-serve(1)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={account}
EnvironmentFile=-{options}
ExecStart={program} serve --data {data} $BASCULE_SERVE
Restart=on-failure
RestartSec=5
WatchdogSec=60
WatchdogSignal=SIGKILL
StateDirectory={account}
StateDirectoryMode=0700
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
UMask=0077

[Install]
WantedBy=multi-user.target
"""
# What decides which files the service sees and may run.
VIEW = tuple(
    line
    for line in _UNIT.format(
        account=ACCOUNT, options=OPTIONS_FILE, program="", data=DATA
    ).splitlines()
    if line.startswith(("User=", "Protect", "Private", "NoNewPrivileges="))
)
_MARK = "# Written by bascule admin install-server, which replaces it only while it is unedited: "


def unit_text(program: Sequence[str]) -> str:
    """The unit that runs ``program``; its words have neither spaces nor quotes."""
    words = " ".join(program)
    return _UNIT.format(account=ACCOUNT, options=OPTIONS_FILE, program=words, data=DATA)


def marked(unit: str) -> str:
    """With the SHA-256 of it in its first line, by which an edit is noticed."""
    return f"{_MARK}{hashlib.sha256(unit.encode()).hexdigest()}\n{unit}"


def is_unedited(text: str) -> bool:
    """Is it what ``marked`` wrote, of whichever version?"""
    return text == marked(text.partition("\n")[2])
