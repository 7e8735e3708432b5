"""A change of what agents trust, as their server tells it (EDGES I5): on the line, and with a state over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bascule.protocol.shape import Most

LONGEST_TRUST = 8 * 1024  # characters; two CAs have some 1,500
LONGEST_SIGNATURE = 128  # characters; ours have 86


@dataclass(frozen=True, slots=True)
class Trust:
    """A numbered change of the CAs that the agent is to trust, signed by the trust key of its server
    (``signed.Kind.TRUST``, with no nonce). One that is not newer, or not signed, changes nothing.
    """

    number: Annotated[int, Most(2**53 - 1)]
    body: Annotated[str, Most(LONGEST_TRUST)]  # JSON: cas, certificates in PEM, that in use first
    signature: Annotated[str, Most(LONGEST_SIGNATURE)]
