"""Real sshd in the lab's machines, and a key in the client's home that they let in.

Sources: sshd_config(5), sshd(8) (AUTHORIZED_KEYS and SSH_KNOWN_HOSTS FILE FORMAT),
ssh-keygen(1). ``render_*`` are pure. The stranger gets no key; before it comes to that, the
port is closed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bascule.errors import ConfigurationError
from bascule.lab.environment import find_tool
from bascule.lab.folder import LabFolder
from bascule.lab.person import Person
from bascule.lab.topology import SSH_PORT, LabHost, Topology

CONFIG = "/etc/ssh/sshd_config"  # as the host sees it
_KEY = "id_ed25519"


def render_config(person: Person, has_penalties: bool) -> str:
    """One sshd for one person.

    UsePAM no: an ordinary user's sshd cannot use PAM, and the machine's PAM set-up is not the
    lab's business. StrictModes no: rootless, /etc belongs to nobody known; the lab's folder is
    0700 anyway. PerSourcePenalties no, where sshd has them: a lab is there to be knocked at,
    and sshd would shut out the very client that looks whether the port is open.
    """
    penalties = ["PerSourcePenalties no"] if has_penalties else []
    return "\n".join(
        [
            f"Port {SSH_PORT}",
            "AddressFamily any",
            "HostKey /etc/ssh/ssh_host_ed25519_key",
            "AuthorizedKeysFile /etc/ssh/authorized_keys",
            f"AllowUsers {person.name}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "PidFile none",
            "PrintMotd no",
            "PrintLastLog no",
            "UseDNS no",
            "Subsystem sftp internal-sftp",
            *penalties,
            "",
        ]
    )


def _has_penalties() -> bool:
    """Does this sshd know PerSourcePenalties (OpenSSH 9.8 and later)? Asked of itself, -G."""
    tool = find_tool("sshd") or "sshd"
    done = subprocess.run(  # noqa: S603  # reason: a list, no shell
        [tool, "-G", "-f", "/dev/null", "-o", "PerSourcePenalties=no"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def render_known_hosts(keys: Mapping[LabHost, str]) -> str:
    """Name each machine by its name and its addresses, so that ssh asks nothing."""
    return "".join(
        f"{','.join((host.name, *host.addresses))} {key}\n" for host, key in keys.items()
    )


def _make_key(path: Path, comment: str) -> str:
    """Make a key pair; answer the public half as ``type base64``."""
    tool = find_tool("ssh-keygen") or "ssh-keygen"
    done = subprocess.run(  # noqa: S603  # reason: a list, no shell
        [tool, "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ConfigurationError(f"ssh-keygen failed: {done.stdout}{done.stderr}")
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def write_ssh_files(topology: Topology, folder: LabFolder, person: Person) -> None:
    """Write all keys and configurations below the lab's folder, before the hosts are built."""
    client = folder.home(topology.client.name) / ".ssh"
    client.mkdir(mode=0o700)
    own = _make_key(client / _KEY, f"{person.name}@{topology.client.name}")
    keys: dict[LabHost, str] = {}
    for machine in topology.known:
        place = folder.ssh(machine.name)
        keys[machine] = _make_key(place / "ssh_host_ed25519_key", machine.name)
        (place / "authorized_keys").write_text(own + "\n")
        (place / "sshd_config").write_text(render_config(person, _has_penalties()))
    (client / "known_hosts").write_text(render_known_hosts(keys))
