"""Which assertions of agents were used: the database knows, for all servers on it (EDGES B5, H2).

A use is kept for a while after the assertion has ended, so that a clock that is set back a little
brings none back. What is not here: whether an assertion is right (``identity.assertions``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bascule.interfaces.tokens import TokenWrites
from bascule.services.tokens import hash_of

MOST_OF_ONE = 1000  # kept of one agent, which asks for a token every ten minutes
LONGEST_LIFE = timedelta(minutes=15)  # that ``identity.assertions`` admits
KEPT_FOR = timedelta(minutes=15)  # after its end


def use(tx: TokenWrites, holder: str, token_id: str, ends_at: datetime, now: datetime) -> str:
    """Mark it used; why it may not be, empty when it may. Atomic, in the caller's transaction."""
    tx.forget_assertions(now - KEPT_FOR)
    # One that ends later was used before the clock was set back: it stays used, and is not counted.
    if tx.assertions_used(holder, now + LONGEST_LIFE) >= MOST_OF_ONE:
        return f"more than {MOST_OF_ONE} were used within half an hour"
    return "" if tx.use_assertion(holder, hash_of(token_id), ends_at) else "it was used before"
