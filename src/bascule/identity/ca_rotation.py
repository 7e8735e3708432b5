"""A change of the installation's CA, in steps (EDGES I5, ADR 34). Pure: values in, values out.

    begun      a new CA is there, and agents are told to trust both; servers still use the old one
    switched   servers use the new CA; with it they show a certificate for it by the old one, so that who
               trusts only the old CA still connects
    done       the old CA is trusted no more

All of it is one file, which is written whole, or one sealed key in the database. So whoever is killed
leaves the step before or the step after. The file decides: ``ca.key`` and ``ca.pem`` are made from it.
``number`` is that of what agents are told to trust. It rises with each change of that, to at least the time in
seconds: so a server that was restored from a backup goes past what agents took from the one before. One number
never has two contents.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from bascule.errors import ConfigurationError
from bascule.identity import x509 as certificates

ROTATION = "ca-rotation.json"


class Phase(StrEnum):
    BEGUN = "begun"
    SWITCHED = "switched"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Rotation:
    number: int
    phase: Phase
    ca: str  # PEM: that by which servers' certificates are issued
    key: str = field(repr=False)  # its key, PEM
    other: str = ""  # PEM: the new CA while begun, the old one while switched
    other_key: str = field(default="", repr=False)  # of the new CA, while begun
    cross: str = ""  # PEM: the new CA's certificate by the old one; empty: there is none
    is_compromised: bool = False  # the CA before was not vouched for

    @property
    def trusted(self) -> tuple[str, ...]:
        """What agents are told to trust, as PEM; that in use first."""
        return (self.ca, self.other) if self.other else (self.ca,)

    @property
    def chain(self) -> str:
        """What servers show after their own certificate."""
        return self.cross if self.phase is Phase.SWITCHED and self.cross else self.ca

    @property
    def body(self) -> bytes:
        """What agents are told."""
        return json.dumps({"cas": list(self.trusted)}, separators=(",", ":")).encode()

    def dump(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


def read_rotation(content: bytes) -> Rotation:
    """Raise ConfigurationError for what is none."""
    try:
        data = json.loads(content)
        found = Rotation(**{**data, "phase": Phase(data["phase"])})
        if type(found.number) is not int or found.number < 0:
            raise ValueError("its number is none")
        ca, key = _ca(found.ca), certificates.read_key(found.key.encode())
        if not certificates.belongs_to(ca, key):
            raise ValueError("key and CA do not belong together")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{ROTATION} is damaged: {error}.",
            advice="Restore it from a backup, with ca.key and ca.pem.",
        ) from None
    return found


def begin(now: Rotation, made_at: datetime) -> Rotation:
    """Make a new CA and have agents trust it too."""
    if now.phase is not Phase.DONE:
        raise ConfigurationError(
            f"A rotation of the CA is {now.phase} already.",
            code="RotationUnderWay",
            advice="Go on with --switch or --finish; see --status.",
        )
    key = certificates.new_key()
    made = certificates.make_ca(key, made_at)
    cross = certificates.cross_sign(made, _ca(now.ca), certificates.read_key(now.key.encode()))
    return replace(
        now,
        number=_next_number(now, made_at),
        phase=Phase.BEGUN,
        other=_pem(made),
        other_key=certificates.key_pem(key).decode(),
        cross="" if cross is None else _pem(cross),
        is_compromised=False,
    )


def switch(now: Rotation) -> Rotation:
    """Servers use the new CA. Agents are told nothing new: they trust both."""
    _require(now, Phase.BEGUN, "Begin first: bascule admin rotate-ca --data DATA")
    return replace(
        now, phase=Phase.SWITCHED, ca=now.other, key=now.other_key, other=now.ca, other_key=""
    )


def finish(now: Rotation, made_at: datetime) -> Rotation:
    """Nobody trusts the old CA any more."""
    _require(now, Phase.SWITCHED, "Switch first: bascule admin rotate-ca --data DATA --switch")
    number = _next_number(now, made_at)
    return replace(now, number=number, phase=Phase.DONE, other="", cross="")


def cancel(now: Rotation, made_at: datetime) -> Rotation:
    """Go back before the switch: the new CA is forgotten."""
    _require(now, Phase.BEGUN, "After --switch, go on with --finish.")
    number = _next_number(now, made_at)
    return replace(now, number=number, phase=Phase.DONE, other="", other_key="", cross="")


def compromise(now: Rotation, made_at: datetime) -> Rotation:
    """A new CA at once, for which nothing that the old one signed vouches; in any phase."""
    key = certificates.new_key()
    return Rotation(
        number=_next_number(now, made_at),
        phase=Phase.DONE,
        ca=_pem(certificates.make_ca(key, made_at)),
        key=certificates.key_pem(key).decode(),
        is_compromised=True,
    )


def _next_number(now: Rotation, made_at: datetime) -> int:
    return max(now.number + 1, int(made_at.timestamp()))


def _require(now: Rotation, phase: Phase, advice: str) -> None:
    if now.phase is not phase:
        raise ConfigurationError(
            f"The rotation of the CA is {now.phase}, not {phase}.",
            code="RotationNotThere",
            advice=advice,
        )


def _ca(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _pem(certificate: x509.Certificate) -> str:
    return certificates.certificate_pem(certificate).decode()
