"""What is in each package beside modules and libraries: units, accounts, scripts, what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tree import AGENT, CLI, ROOT, SERVER

from bascule.agent.install import PROGRAM, further_units, unit_text
from bascule.bootstrap.handed_out import BROUGHT
from bascule.bootstrap.server_unit import ACCOUNT_LINE, OPTIONS, OPTIONS_FILE, UNIT_NAME
from bascule.bootstrap.server_unit import unit_text as server_unit_text
from bascule.client.host_agent import DEFAULT_STATE
from bascule.drivers.nftables.host import NftablesHost

FILES = Path(__file__).parent / "files"
LIB = "usr/lib/bascule"
HANDED_OUT = BROUGHT.relative_to("/")


@dataclass(frozen=True, slots=True)
class About:
    summary: str
    depends: Mapping[str, tuple[str, ...]]  # deb, rpm
    recommends: Mapping[str, tuple[str, ...]]
    is_compiled: bool = False  # has modules for one kind of processor
    config: tuple[str, ...] = ()  # files that whoever administers the host edits


PACKAGES = {
    CLI: About(
        "Just-in-time access to ports: the command line",
        {
            "deb": ("python3 (>= 3.11)", "python3-cryptography (>= 38)"),
            "rpm": ("python3 >= 3.11", "python3-cryptography >= 38"),
        },
        {"deb": ("openssh-client",), "rpm": ("openssh-clients",)},
    ),
    AGENT: About(
        "Just-in-time access to ports: keeps the ports of this host closed, opens them on request",
        {
            "deb": (
                "nftables",
                "libnftables1",
                "systemd (>= 252)",
                "debconf (>= 0.5) | debconf-2.0",
            ),
            "rpm": ("nftables", "systemd >= 252"),
        },
        {"deb": ("conntrack",), "rpm": ("conntrack-tools",)},
    ),
    SERVER: About(
        "Just-in-time access to ports: the server, with its portal and its record",
        # The compiled libraries are for these Pythons.
        {
            "deb": (
                "python3 (>= 3.11)",
                "python3 (<< 3.12) | python3 (>= 3.13)",
                "python3 (<< 3.14)",
                "systemd (>= 252)",
            ),
            "rpm": (
                "((python3 >= 3.11 with python3 < 3.12) or (python3 >= 3.13 with python3 < 3.14))",
                "systemd >= 252",
            ),
        },
        {"deb": (), "rpm": ()},
        is_compiled=True,
        config=("etc/default/bascule-server",),
    ),
}


def place(package: str, folder: Path) -> None:
    """Put its own files into ``folder``."""
    if package == CLI:
        _write(folder / "usr/bin/bascule", (FILES / "bascule").read_text())
    if package == AGENT:
        unit = unit_text((PROGRAM,), DEFAULT_STATE, NftablesHost.needs.unit)
        units = {"bascule-agent.service": unit, **further_units((PROGRAM,))}
        for name, text in units.items():
            _write(folder / "usr/lib/systemd/system" / name, text)
    if package == SERVER:
        for target, text in (
            (f"usr/lib/systemd/system/{UNIT_NAME}", server_unit_text((PROGRAM,))),
            ("usr/lib/sysusers.d/bascule.conf", ACCOUNT_LINE + "\n"),
            ("usr/lib/tmpfiles.d/bascule.conf", (FILES / "tmpfiles.conf").read_text()),
            (OPTIONS_FILE.lstrip("/"), OPTIONS),
        ):
            _write(folder / target, text)
    about = folder / "usr/share/doc" / package
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    others = f"The libraries in /{LIB} have their licences in their *.dist-info folders there.\n"
    _write(about / "copyright", f"{notice}\n{others}\n{licence}")


def script(package: str, kind: str, name: str) -> Path | None:
    found = FILES / kind / f"{package}.{name}"
    return found if found.exists() else None


def whole(script: Path) -> str:
    """With what several scripts share in the places where they name it."""
    lines = []
    for line in script.read_text().splitlines():
        name = line.removeprefix("#include ")
        lines.append((FILES / name).read_text() if name != line else line + "\n")
    return "".join(lines)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
