"""Is an address one of this host's own? Only those can be bound (bind(2), EADDRNOTAVAIL)."""

from __future__ import annotations

import socket

from bascule.domain.net import Address


def is_here(address: Address) -> bool:
    if address.is_unspecified:  # can be bound everywhere and is nobody's
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
