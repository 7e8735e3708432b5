"""A restore of the whole record from a backup, as its recovery key signs it (EDGES I6).

The record that is restored ends where the backup was made. It goes on from there with the restore
itself, so that it is another record than the one that was lost: witnesses have seen a longer chain, or
other hashes. A statement says from where to where that is explained, for one restore of one
installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bascule.domain.chain import ChainHead, canonical
from bascule.domain.times import format_utc

MOST_REASON = 300  # characters
MOST_TOLD = 3  # restores that agents are told of, the last ones
_CONTEXT = b"Bascule/restore/1\n"  # a signature under it is good for nothing else


@dataclass(frozen=True, slots=True)
class Restoration:
    tenant_id: str  # of the installation
    number: int  # of the installation from then on; each restore has a higher one
    at: datetime
    old: ChainHead  # the end of the record in the backup: up to here nothing has changed
    new: ChainHead  # where the restore itself is on record
    reason: str
    signature: str = ""  # Ed25519 (RFC 8032), base64url without padding; empty: nobody signed it

    def statement(self) -> bytes:
        """What the signature covers."""
        told = {
            "at": format_utc(self.at),
            "new": [self.new.position, self.new.hash],
            "number": self.number,
            "old": [self.old.position, self.old.hash],
            "reason": self.reason,
            "tenantId": self.tenant_id,
        }
        return _CONTEXT + canonical(told)

    def explains(self, seen: ChainHead, head: ChainHead) -> bool:
        """Does it say why the record that ends at ``head`` now has not what was ``seen`` of it?

        What was seen up to the end of the backup is still to be there. A record that has not come as
        far as the restore, or has another hash where it is, is not the one that was signed.
        """
        is_there = self.new.position <= head.position
        is_same = self.new.position != head.position or self.new.hash == head.hash
        return seen.position > self.old.position and is_there and is_same
