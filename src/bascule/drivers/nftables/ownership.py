"""Who owns the table while no agent runs: the service manager keeps the owning socket (EDGES A5).

The order matters. Our socket is stored first, so that a death from here on leaves the table
owned; the stored sockets of agents before us are given up only while ``take_over`` has a second
table standing with the same rules; and ours is stored once more at the end, because the store may
have been full of those of agents that died before us.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence

from bascule.interfaces.driver import Keeper

OWNER_NAME = "nft-owner"  # of stored sockets; what is stored under other names is not ours
TakeOver = Callable[[Callable[[], None]], None]  # given what gives up the former owner's socket


def own(keeper: Keeper, owner_fd: int, take_over: TakeOver) -> None:
    """Take the table over and have its owning socket kept; raises EnforcementFailed."""
    # Random: a process id comes again, and what its former holder stored is forgotten by name.
    name = f"{OWNER_NAME}-{secrets.token_hex(8)}"
    passed = [each for each in keeper.passed() if each[0].startswith(OWNER_NAME)]

    def store() -> None:  # one that is kept already is not kept twice (sd_notify(3))
        keeper.store(name, owner_fd)

    store()
    take_over(lambda: _give_up(keeper, passed))
    store()


def _give_up(keeper: Keeper, passed: Sequence[tuple[str, int]]) -> None:
    """Have every copy of the stored sockets closed, here and at the keeper's."""
    if not keeper.is_present:
        keeper.forget_stopped()  # of a service that was stopped before we were run by hand
    for _, descriptor in passed:
        os.close(descriptor)
    for name in dict.fromkeys(name for name, _ in passed):
        keeper.forget(name)
