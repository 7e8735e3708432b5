"""External identity providers and whom they vouch for."""

from __future__ import annotations

from bascule.store.rows import Rows


class ProviderReads(Rows):
    __slots__ = ()


class ProviderWrites(ProviderReads):
    __slots__ = ()
