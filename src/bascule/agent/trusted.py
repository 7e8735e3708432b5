"""The CAs that this agent trusts, and changes of them that its server signs (EDGES I5).

A change has a number. One that is not above the last is not looked at: it may come from an older backup, or
was sent again. One that its server's trust key, pinned at enrolment, did not sign for this very machine
changes nothing. What is taken replaces the CAs that were pinned, on disk first.
"""

from __future__ import annotations

import json
import ssl
import threading
from pathlib import Path

import structlog

from bascule.agent.enrolment import IDENTITY_FILE, trust_of
from bascule.agent.link import Identity
from bascule.errors import BasculeError
from bascule.files import write_atomically
from bascule.protocol.signed import Kind, Pinned
from bascule.protocol.trust import Trust

log = structlog.get_logger("bascule.agent")

MOST_CAS = 2
NUMBER = "trustNumber"  # in the identity's file; missing: as pinned at enrolment


class Trusted:
    """One agent's. A line and calls may take changes at once."""

    def __init__(self, state: Path, identity: Identity) -> None:
        self._state, self._identity = state, identity
        self._gate = threading.Lock()

    @property
    def number(self) -> int | None:
        """Of the change that was taken last, 0: as pinned at enrolment. None: none could be taken."""
        if not self._identity.trust_key:
            return None
        try:
            number = json.loads((self._state / IDENTITY_FILE).read_text()).get(NUMBER, 0)
        except (OSError, ValueError, AttributeError):
            return None
        return number if type(number) is int and number >= 0 else None

    def take(self, told: Trust) -> tuple[int | None, ssl.SSLContext | None]:
        """The number of what is trusted now, None: it was not signed; and TLS by it, where that is new."""
        identity = self._identity
        pinned = Pinned(identity.trust_key)
        said = (Kind.TRUST, identity.machine_uid, "", told.number, told.body.encode())
        if not identity.trust_key or not pinned.is_of(*said, told.signature):
            log.warning("a change of trust was refused: this agent's server did not sign it")
            return None, None
        try:
            with self._gate:
                return self._keep(told)
        except (OSError, ValueError, BasculeError) as error:  # it is told again
            log.error("a change of trust was not taken", why=str(error))
            return None, None

    def _keep(self, told: Trust) -> tuple[int | None, ssl.SSLContext | None]:
        path = self._state / IDENTITY_FILE
        known = json.loads(path.read_text())
        number = known.get(NUMBER, 0)
        if told.number <= number:
            if told.number < number:
                log.warning(
                    "an older change of trust was passed over", told=told.number, is_at=number
                )
            elif not _are_pinned(_read(told.body), known["ca"]):
                raise ValueError(
                    f"number {number} is of another change here: was the server restored?"
                )
            return number, None
        cas = _read(told.body)
        write_atomically(path, json.dumps({**known, "ca": "".join(cas), NUMBER: told.number}))
        log.info("this agent trusts other CAs", number=told.number, cas=len(cas))
        return told.number, trust_of(self._state)


def _are_pinned(cas: list[str], pinned: str) -> bool:
    """In any order: that in use comes first, and another one is after ``--switch``."""
    return len("".join(cas)) == len(pinned) and all(each in pinned for each in cas)


def _read(body: str) -> list[str]:
    """Certificates in PEM that can be used. Raises ValueError."""
    data = json.loads(body)
    cas = data.get("cas") if isinstance(data, dict) else None
    if not isinstance(cas, list) or not 0 < len(cas) <= MOST_CAS:
        raise ValueError("it names no CAs, or too many")
    found = [each if each.endswith("\n") else f"{each}\n" for each in map(str, cas)]
    for each in found:
        ssl.create_default_context(cadata=each)
    return found
