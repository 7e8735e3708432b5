"""What the watchers of a run wrote down: the SYNs of each, and those that were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.lab.topology import Topology
from tests.faults.world import knocked_at


@dataclass(frozen=True, slots=True)
class Through:
    """A SYN that was answered."""

    watcher: str
    source: str
    machine: str
    port: int
    sent: float
    answered: float
    how: str
    is_public: bool = False  # by a public port that stands for it
    way: str = ""  # by this gateway


@dataclass(frozen=True, slots=True)
class Place:
    """Where a watcher knocks."""

    watcher: str
    machine: str
    address: str
    port: int  # of the machine
    source: str  # its own address there
    is_public: bool = False  # at a public port that stands for it
    way: str = ""  # the gateway that leads there


@dataclass(frozen=True, slots=True)
class Sighting:
    through: tuple[Through, ...]
    sent: Mapping[Place, Sequence[float]]  # the SYNs of each watcher to each address and port

    @property
    def knocks(self) -> int:
        return sum(map(len, self.sent.values()))


def read_sighting(files: dict[str, Path], topology: Topology, since: float) -> Sighting:
    through: list[Through] = []
    sent: dict[Place, list[float]] = {}
    for name, file in files.items():
        host = topology.host(name)
        places = {
            f"{door.address}/{door.number}": Place(
                name,
                door.machine,
                door.address,
                door.port,
                host.ipv6 if ":" in door.address else host.ipv4,
                door.is_public,
                door.way,
            )
            for door in knocked_at(topology)
        }
        sent |= {place: [] for place in places.values()}
        for line in file.read_text().splitlines():
            words = line.split()
            if words[0] == "sent" and float(words[1]) > since:
                for where, _, moment in (word.partition("@") for word in words[2:]):
                    sent[places[where]].append(float(moment))
            elif words[0] == "through" and float(words[2]) > since:
                place = places[f"{words[3]}/{words[4]}"]
                if place.is_public and words[5].endswith("-reset"):
                    continue  # nothing of the gateway's own listens there
                through.append(
                    Through(
                        name,
                        place.source,
                        place.machine,
                        place.port,
                        float(words[1]),
                        float(words[2]),
                        words[5],
                        place.is_public,
                        place.way,
                    )
                )
    return Sighting(tuple(through), sent)
