"""``bascule admin rotate-ca``: one step of a change of the CA (EDGES I5, ADR 34)."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.bootstrap.data_directory import require_installation
from bascule.bootstrap.database import Record
from bascule.bootstrap.options import DATA
from bascule.errors import ConfigurationError
from bascule.interfaces.store import Reader, Transaction

if TYPE_CHECKING:
    from bascule.identity.ca_rotation import Rotation
    from bascule.services.act import Act, Services
    from bascule.services.ca_rotation import Mover

_MOST_NAMED = 50
_LOCK = "ca-rotation.lock"


@click.command(
    "rotate-ca",
    short_help="Replace the installation's CA, step by step.",
    epilog="\b\nExamples:\n  bascule admin rotate-ca --data /var/lib/bascule\n"
    "  bascule admin rotate-ca --data /var/lib/bascule --status\n"
    "  bascule admin rotate-ca --data /var/lib/bascule --switch\n"
    "  bascule admin rotate-ca --data /var/lib/bascule --finish",
)
@DATA
@click.option("--switch", "step", flag_value="switch", help="Second step: use the new CA.")
@click.option("--finish", "step", flag_value="finish", help="Third step: drop the old CA.")
@click.option("--cancel", "step", flag_value="cancel", help="Go back, before --switch.")
@click.option("--status", "step", flag_value="status", help="Show the step and who has moved.")
@click.option(
    "--compromised",
    "step",
    flag_value="compromised",
    help="The CA's key was stolen: a new CA at once, which nothing of the old one vouches for.",
)
@click.option("--yes", is_flag=True, help="Do it although agents will be cut off.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="Output as a table or as JSON.",
)
def rotate_ca(data: Path, step: str | None, yes: bool, output: str) -> None:
    """Replace the installation's CA. The server may be running.

    Without an option it begins: a new CA is made, and agents are told to trust both. They do so by
    themselves. Then --switch: servers use the new CA; who trusts only the old one still connects. Then
    --finish: the old CA is dropped. It refuses if an agent would be cut off, and names it.

    Each step is recorded, and taken up by running servers within two seconds. If a command is killed,
    run it again.
    """
    from bascule.bootstrap.admin import services_of

    require_installation(data)
    with services_of(data, is_stopped=False) as services, _alone(data):
        done = _Rotating(data, services, Record(data).is_shared)
        before = done.now()
        if step != "status":
            done.go(step or "begin", before, may_cut=yes)
        now = done.now()
        movers = done.movers(0 if now is None else now.number)
    if output == "json":
        click.echo(json.dumps(_told(now, movers), indent=2))
        return
    _show(now, movers, step or "begin")


class _Rotating:
    def __init__(self, data: Path, services: Services, is_shared: bool) -> None:
        self._data, self._services, self._is_shared = data, services, is_shared

    def now(self) -> Rotation | None:
        """As it is decided; None: there was none yet."""
        from bascule.identity.ca_rotation import ROTATION, read_rotation
        from bascule.identity.files import read_if_present

        if self._is_shared:
            return asyncio.run(self._services.read(self._of_database))
        content = read_if_present(self._data / ROTATION)
        return None if content is None else read_rotation(content)

    def _of_database(self, reader: Reader) -> Rotation | None:
        from bascule.identity.ca_rotation import ROTATION, read_rotation
        from bascule.identity.shared_keys import SharedKeys

        content = SharedKeys(self._data).open(reader).contents.get(ROTATION)
        return None if content is None else read_rotation(content)

    def movers(self, number: int) -> Sequence[Mover]:
        from bascule.services.ca_rotation import progress

        return asyncio.run(self._services.read(lambda reader: progress(reader, number)))

    def go(self, step: str, before: Rotation | None, *, may_cut: bool) -> None:
        from bascule.identity import ca_rotation as steps

        known = before or self._first()
        now = self._services.clock.now()
        if step in ("switch", "finish"):
            made = steps.switch(known) if step == "switch" else steps.finish(known, now)
            behind = [each for each in self.movers(known.number) if not each.has_moved]
            is_bridged = step == "switch" and bool(known.cross)
            if behind and not may_cut and not is_bridged:
                raise ConfigurationError(
                    f"{len(behind)} agents do not trust the new CA yet and would be cut off: "
                    f"{_names(behind)}.",
                    code="AgentsBehind",
                    advice="Start them or wait until they come back, and see --status. With --yes they "
                    "are cut off, keep their ports closed, and must be enrolled again.",
                )
        elif step == "compromised":
            if not may_cut:
                click.confirm(
                    "All agents are cut off and must be enrolled again. Open access ends on time. "
                    "Continue?",
                    abort=True,
                    err=True,
                )
            made = steps.compromise(known, now)
        else:
            made = {
                "begin": lambda: steps.begin(known, now),
                "cancel": lambda: steps.cancel(known, now),
            }[step]()
        self._put(made, before)

    def _first(self) -> Rotation:
        """What counts before the first rotation: the files, or the rows, of the CA."""
        from bascule.identity.ca_rotation import Phase, Rotation
        from bascule.identity.shared_keys import SharedKeys
        from bascule.identity.tls import CA_CERTIFICATE, CA_KEY

        if self._is_shared:
            contents = asyncio.run(self._services.read(SharedKeys(self._data).open)).contents
            ca, key = contents[CA_CERTIFICATE], contents[CA_KEY]
        else:
            ca, key = ((self._data / name).read_bytes() for name in (CA_CERTIFICATE, CA_KEY))
        return Rotation(0, Phase.DONE, ca.decode(), key.decode())

    def _put(self, made: Rotation, before: Rotation | None) -> None:
        """With PostgreSQL the commit decides, with SQLite the file; a server that finds it records what
        is not on record. Raises ConfigurationError where it is not as ``before`` any more: the lock is of
        this host, and a command on another replica's host may have taken a step.
        """
        from bascule.api.ca_rotation import step_of
        from bascule.files import write_atomically
        from bascule.identity.ca_rotation import ROTATION
        from bascule.identity.shared_keys import SharedKeys
        from bascule.services.ca_rotation import note_step

        if not self._is_shared:
            write_atomically(self._data / ROTATION, made.dump())

        def work(tx: Transaction, act: Act) -> None:
            if self._is_shared:
                if self._of_database(tx) != before:
                    raise ConfigurationError(
                        "A command on another host has taken a step of the rotation meanwhile. This one "
                        "changed nothing.",
                        code="RotationMoved",
                        advice="See --status, and go on from there.",
                    )
                SharedKeys(self._data).put_rotation(tx, made, act.now)
            note_step(tx, act, step_of(made))

        asyncio.run(self._services.perform(work))


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One command at a time on this host."""
    descriptor = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _names(movers: Sequence[Mover]) -> str:
    named = ", ".join(each.machine for each in movers[:_MOST_NAMED])
    more = len(movers) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _fingerprint(pem: str) -> str:
    from cryptography import x509

    from bascule.identity.x509 import fingerprint

    return fingerprint(x509.load_pem_x509_certificate(pem.encode()))


def _told(now: Rotation | None, movers: Sequence[Mover]) -> dict[str, object]:
    return {
        "step": "none" if now is None else str(now.phase),
        "number": 0 if now is None else now.number,
        "fingerprint": None if now is None else _fingerprint(now.ca),
        "otherFingerprint": None if now is None or not now.other else _fingerprint(now.other),
        "agents": [
            {"machine": each.machine, "machineUid": each.machine_uid, "hasMoved": each.has_moved}
            for each in movers
        ],
    }


_NEXT = {
    "begun": "Next, when all agents have moved: bascule admin rotate-ca --data DATA --switch. A proxy "
    "that verifies this server must trust both CAs before that: GET /bascule/ca.pem has them.",
    "switched": "Next, when all agents have moved: bascule admin rotate-ca --data DATA --finish. People "
    "who pinned the old CA must sign in again before that: bascule login --fingerprint HEX.",
}


def _show(now: Rotation | None, movers: Sequence[Mover], step: str) -> None:
    if now is None:
        click.echo("The CA was never rotated.")
        return
    click.echo(f"Step:  {now.phase} (change of trust {now.number})")
    click.echo(f"CA:    {_fingerprint(now.ca)}")
    if now.other:
        what = "New CA" if now.phase == "begun" else "Old CA"
        click.echo(f"{what}: {_fingerprint(now.other)}")
    behind = [each for each in movers if not each.has_moved]
    click.echo(f"Agents that have moved: {len(movers) - len(behind)} of {len(movers)}")
    if behind and now.is_compromised:
        click.echo(f"To be enrolled again (machine enrol NAME --replace): {_names(behind)}")
    elif behind:
        click.echo(f"Not yet: {_names(behind)}")
    if now.phase == "begun" and not now.cross and step != "status":
        click.echo(
            "The old CA may sign no other: who trusts only the old one is cut off by --switch.",
            err=True,
        )
    if str(now.phase) in _NEXT:
        click.echo(_NEXT[str(now.phase)], err=True)
