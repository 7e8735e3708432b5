"""What an enforcement point knows, on disk, across its own death and reboots.

Two generations are kept, each with a checksum (EDGES A6). If the newest is damaged, the
closed ports of the one before are loaded and none of its grants; with neither readable
the management ports 22, 3389, 5985 and 5986 are closed. Leases of an earlier boot are
restored with the time that passed taken off, and only by a clock that is not behind the
saved one. What is held for machines behind a gateway is in the same files and restored alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bascule.domain.desired import LONGEST_DRAIN
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.grant import opening_count
from bascule.domain.held import Held, HeldBehind, HeldLease
from bascule.domain.holding import everywhere, only_closed
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE as MOST_OPENINGS
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, PublicPort, TransportProtocol
from bascule.errors import ConfigurationError
from bascule.files import write_atomically
from bascule.interfaces.clock import Clock

NEWEST = "held.json"
PREVIOUS = "held.previous.json"
MANAGEMENT_PORTS = (22, 3389, 5985, 5986)
_LONGEST = {"drain": LONGEST_DRAIN}  # of all else MAXIMUM_DURATION
MOST_NAMED = 5  # of what is dropped at a load, in its note
FALLBACK = frozenset(
    ClosedPort(PortKey(TransportProtocol.TCP, number)) for number in MANAGEMENT_PORTS
)


def boot_id() -> str:
    """The identity of the running boot (proc(5), random/boot_id)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class HeldFile:
    """A HeldStore in a directory; ``notes`` says what was wrong at the last load."""

    def __init__(self, directory: Path, clock: Clock, boot: str | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._boot = boot if boot is not None else boot_id()
        self.notes: list[str] = []

    def save(self, held: Held) -> None:
        """Replace the newest file, keeping the one before; durable when this returns."""
        body = json.dumps(
            {
                "savedAt": self._clock.now().timestamp(),
                "boottime": self._clock.boottime(),
                "bootId": self._boot,
                "held": _to_json(held),
            },
            sort_keys=True,
        )
        text = json.dumps({"checksum": _checksum(body), "body": body})
        newest = self._directory / NEWEST
        # A damaged file never becomes the previous one.
        is_sound = self._read(newest) is not None
        keep = (lambda: self._keep_as_previous(newest)) if is_sound else (lambda: None)
        # As late as can be: in between, one file has both names and there is one generation.
        write_atomically(newest, text, before_replacing=keep)
        if self._closed_before() != only_closed(held):
            # Whichever of the two is damaged, the other knows what is closed.
            write_atomically(self._directory / PREVIOUS, text)

    def _closed_before(self) -> Held | None:
        """What the file before the newest closes; None when it cannot be read."""
        previous = self._read(self._directory / PREVIOUS)
        return None if previous is None else only_closed(_held(previous["held"]))

    def _keep_as_previous(self, newest: Path) -> None:
        """Give today's file a second name, so that there is always a newest one (link(2))."""
        spare = self._directory / f".{PREVIOUS}.link"
        try:
            spare.unlink(missing_ok=True)
            spare.hardlink_to(newest)
            spare.replace(self._directory / PREVIOUS)
        except OSError as error:
            raise ConfigurationError(
                f"The agent's state cannot be saved in {self._directory}: {error.strerror}.",
                advice="Free space or make it writable. Open access still ends on time.",
            ) from error

    def load(self) -> Held:
        """What was saved, or what must be closed when it cannot be read."""
        newest = self._read(self._directory / NEWEST)
        if newest is not None:
            return self._restore(newest)
        previous = self._read(self._directory / PREVIOUS)
        if previous is None and not self._exists():
            return Held()
        if previous is not None:
            self.notes.append(
                "the saved state is damaged: the ports of the previous one are closed; no grant is restored"
            )
            old = self._sound(previous)
            return everywhere(
                old,
                lambda each: Held(each.generation, each.closed, installation=each.installation),
            )
        self.notes.append("no saved state can be read: the management ports are closed")
        return Held(closed=FALLBACK)

    def _exists(self) -> bool:
        return any((self._directory / name).exists() for name in (NEWEST, PREVIOUS))

    def _read(self, path: Path) -> Mapping[str, Any] | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            outer = json.loads(path.read_text())
            if outer["checksum"] == _checksum(str(outer["body"])):
                body: Mapping[str, Any] = json.loads(outer["body"])
                _held(body["held"])
                return body
        return None

    def _restore(self, body: Mapping[str, Any]) -> Held:
        held = self._sound(body)
        if body["bootId"] == self._boot:
            return held
        passed = self._clock.now().timestamp() - body["savedAt"]
        awake = self._clock.boottime() - body["boottime"]
        if passed < 0:
            self.notes.append(
                "the clock is behind the saved state: its ports are closed; no grant is restored"
            )
            # What left is known none too short.
            return everywhere(
                held,
                lambda each: replace(
                    each, leases={}, cuts={}, drains={}, ended=_shifted(each.ended, awake)
                ),
            )
        shift = awake - passed
        return everywhere(
            held,
            lambda each: replace(
                each,
                leases=_shifted(each.leases, shift),
                cuts=_shifted(each.cuts, shift),
                ended=_shifted(each.ended, shift),
                drains=_shifted(each.drains, shift),
            ),
        )

    def _sound(self, body: Mapping[str, Any]) -> Held:
        """What was saved, without what no firewall holds and no server of ours can have sent.

        It would be refused after every reboot, with all that is beside it. What is dropped
        opens nothing: a number that is no port's, a grant, a cut.
        """
        dropped: list[str] = []
        held = everywhere(_held(body["held"]), lambda each: _sound(each, body, dropped))
        if dropped:
            named = ", ".join(dropped[:MOST_NAMED])
            self.notes.append(
                f"{len(dropped)} invalid entries of the saved state were dropped: {named}"
            )
        return held


def _sound(saved: Held, body: Mapping[str, Any], dropped: list[str]) -> Held:
    """Of one machine; what is dropped is named in ``dropped``."""
    known = {
        "lease": saved.leases,
        "cut": saved.cuts,
        "ended lease": saved.ended,
        "drain": saved.drains,
    }
    kept = {
        what: {
            key: each
            for key, each in leases.items()
            if _is_sound(each, body, _LONGEST.get(what, MAXIMUM_DURATION))
        }
        for what, leases in known.items()
    }
    leases = kept["lease"]
    told = [each for each in leases.values() if not each.is_local]
    if sum(opening_count(each.ports, each.sources) for each in told) > MOST_OPENINGS:
        kept["lease"] = {key: each for key, each in leases.items() if each.is_local}
    drains = kept["drain"].values()
    if sum(opening_count(each.ports, each.sources) for each in drains) > MOST_OPENINGS:
        kept["drain"] = {}
    closed = frozenset(each for each in saved.closed if _is_port(each.port))
    dropped += [
        *(f"closed port {each.port}" for each in sorted(saved.closed - closed, key=str)),
        *(f"{what} {key}" for what in known for key in known[what] if key not in kept[what]),
    ]
    return replace(
        saved,
        closed=closed,
        leases=kept["lease"],
        cuts=kept["cut"],
        ended=kept["ended lease"],
        drains=kept["drain"],
    )


def _is_sound(lease: HeldLease, body: Mapping[str, Any], longest: timedelta) -> bool:
    """Could it have been held when this was saved?"""
    is_timed = (
        math.isfinite(lease.deadline)
        and lease.deadline <= body["boottime"] + longest.total_seconds()
    )
    return is_timed and all(_is_port(port) for port in lease.ports)


def _is_port(port: PortKey) -> bool:
    return type(port.number) is int and 1 <= port.number <= 65535


def _shifted(leases: Mapping[str, HeldLease], seconds: float) -> dict[str, HeldLease]:
    return {key: replace(lease, deadline=lease.deadline + seconds) for key, lease in leases.items()}


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _to_json(held: Held) -> dict[str, Any]:
    behind = {
        uid: {
            "addresses": [str(address) for address in each.addresses],
            "former": sorted(str(address) for address in each.former),
            "name": each.name,
            "mapped": [
                [own.protocol, own.number, [[str(at.address), at.number] for at in through]]
                for own, through in each.mapped.items()
            ],
            **_machine_to_json(each.held),
        }
        for uid, each in held.behind.items()
    }
    return {**_machine_to_json(held), "behind": behind}


def _machine_to_json(held: Held) -> dict[str, Any]:
    return {
        "generation": held.generation,
        "closed": sorted(
            [closed.port.protocol, closed.port.number, closed.on_expiry] for closed in held.closed
        ),
        "leases": {key: _lease_to_json(lease) for key, lease in held.leases.items()},
        "cuts": {key: _lease_to_json(cut) for key, cut in held.cuts.items()},
        "ended": {key: _lease_to_json(lease) for key, lease in held.ended.items()},
        "isRefused": held.is_refused,
        "installation": held.installation,
        "drains": {key: _lease_to_json(drain) for key, drain in held.drains.items()},
    }


def _lease_to_json(lease: HeldLease) -> dict[str, Any]:
    return {
        "ports": [[port.protocol, port.number] for port in lease.ports],
        "sources": [str(source) for source in lease.sources],
        "deadline": lease.deadline,
        "extension": lease.extension,
        "isLocal": lease.is_local,
        "at": [str(address) for address in lease.at],
    }


def _held(data: Mapping[str, Any]) -> Held:
    behind = {
        uid: HeldBehind(
            _machine(each),
            tuple(ip_address(address) for address in each["addresses"]),
            frozenset(ip_address(address) for address in each["former"]),
            {
                PortKey(TransportProtocol(protocol), number): tuple(
                    PublicPort(ip_address(address), at) for address, at in through
                )
                for protocol, number, through in each.get("mapped", ())  # absent: of before
            },
            str(each.get("name", "")),
        )
        for uid, each in data.get("behind", {}).items()  # absent: of before it was kept
    }
    return replace(_machine(data), behind=behind)


def _machine(data: Mapping[str, Any]) -> Held:
    return Held(
        generation=data["generation"],
        closed=frozenset(
            ClosedPort(PortKey(TransportProtocol(protocol), number), OnExpiry(on_expiry))
            for protocol, number, on_expiry in data["closed"]
        ),
        leases={key: _lease(lease) for key, lease in data["leases"].items()},
        cuts={key: _lease(cut) for key, cut in data["cuts"].items()},
        ended={key: _lease(lease) for key, lease in data["ended"].items()},
        is_refused=bool(data.get("isRefused")),  # of before it was kept
        drains={key: _lease(drain) for key, drain in data.get("drains", {}).items()},  # likewise
        installation=int(data.get("installation", 0)),  # likewise
    )


def _lease(data: Mapping[str, Any]) -> HeldLease:
    return HeldLease(
        ports=tuple(
            PortKey(TransportProtocol(protocol), number) for protocol, number in data["ports"]
        ),
        sources=tuple(AddressPrefix.parse(text) for text in data["sources"]),
        deadline=float(data["deadline"]),
        extension=data["extension"],
        is_local=data["isLocal"],
        at=tuple(ip_address(address) for address in data.get("at", ())),  # absent: of before
    )
