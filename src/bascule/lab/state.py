"""What the supervisor writes down about a running lab, and how it is read. JSON, mode 0600.

It is the only thing that the commands know of a lab: who runs it, how to enter its hosts, which
process is which. Written whole and renamed, so that a reader never sees half of it.
What is not here: the folder's other files (``folder``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bascule.lab.processes import ProcessId, boot_id, identify
from bascule.lab.topology import Shape, Topology, default_topology

Phase = Literal["starting", "running", "stopping", "failed"]

FORMAT = 1


@dataclass(slots=True)
class HostEntry:
    """How to enter one host: numbers of the supervisor's own descriptors."""

    net: int
    uts: int
    mnt: int


@dataclass(slots=True)
class LabState:
    """One lab as its supervisor sees it."""

    lab: str
    port: int  # of 127.0.0.1 on the host
    supervisor: ProcessId
    is_rootless: bool
    phase: Phase = "starting"
    steps: list[str] = field(default_factory=list)  # what was done, for the one who waits
    error: str = ""  # why it failed
    advice: str = ""  # what to do about it
    hosts: dict[str, HostEntry] = field(default_factory=dict)
    processes: dict[str, ProcessId] = field(default_factory=dict)  # unit: process, when it runs
    boot: str = field(default_factory=boot_id)
    shape: str = str(Shape())

    @property
    def topology(self) -> Topology:
        return default_topology(self.lab, Shape.parse(self.shape))

    def is_held(self) -> bool:
        """Tell whether the supervisor that wrote this lives."""
        return self.boot == boot_id() and identify(self.supervisor.pid) == self.supervisor

    def pid(self, unit: str) -> int | None:
        """The pid of a unit that runs now."""
        process = self.processes.get(unit)
        return process.pid if process is not None and process.is_alive() else None


def _process(raw: Mapping[str, Any]) -> ProcessId:
    return ProcessId(int(raw["pid"]), int(raw["started"]))


def write_state(path: Path, state: LabState) -> None:
    """Replace the file by this state."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"format": FORMAT, **asdict(state)}, file)
    draft.replace(path)


def read_state(path: Path) -> LabState | None:
    """Read it back; None when there is none that can be read (the lab is then not running)."""
    try:
        raw = json.loads(path.read_text())
        if raw.pop("format") != FORMAT:
            return None
        raw["supervisor"] = _process(raw["supervisor"])
        raw["hosts"] = {name: HostEntry(**entry) for name, entry in raw["hosts"].items()}
        raw["processes"] = {name: _process(entry) for name, entry in raw["processes"].items()}
        return LabState(**raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
