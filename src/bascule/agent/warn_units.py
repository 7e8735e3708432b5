"""The units of the service that writes warnings to terminals (``terminals``, EDGES J13).

The agent's unit wants the socket; a datagram there starts the service, which ends when it has written.
Sources: systemd.socket(5), systemd.exec(5). The service has one capability, CAP_SYS_PTRACE, to read
/proc/PID/fd, and none of the system calls that trace.
"""

from __future__ import annotations

WARN_SOCKET = "bascule-agent-warn.socket"
WARN_SERVICE = "bascule-agent-warn.service"
WARN_PATH = "/run/bascule-warn"
VARIABLE = "BASCULE_WARN_SOCKET"  # set by the agent's unit; without it nobody is asked to warn

_SOCKET = f"""\
[Unit]
Description=Bascule agent: warnings before access ends

[Socket]
ListenDatagram={WARN_PATH}
SocketMode=0600
RemoveOnStop=yes
"""
_SERVICE = """\
[Unit]
Description=Bascule agent: writes warnings to terminals before access ends

[Service]
Type=oneshot
ExecStart={command}
TimeoutStartSec=30
SupplementaryGroups=tty
CapabilityBoundingSet=CAP_SYS_PTRACE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
MemoryMax=256M
MemorySwapMax=0
TasksMax=16
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @debug
UMask=0077
"""


def warn_units(command: str) -> dict[str, str]:
    """Text by name; ``command`` is what starts this installation of Bascule, as in a unit's line."""
    return {WARN_SOCKET: _SOCKET, WARN_SERVICE: _SERVICE.format(command=f"{command} agent warn")}
