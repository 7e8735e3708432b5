"""nftables on a host or gateway: one table, ``inet bascule``, written by one libnftables context.

``library`` speaks to libnftables, ``render`` and ``parse`` are its text both ways (pure),
``layout`` and ``rules`` say what stands for what, ``load`` and ``handover`` put whole tables
in place, ``ownership`` keeps the table owned while no agent runs, ``published`` finds where closed
ports lead, ``driver`` is the ``interfaces.driver.HostDriver``, ``host`` what it needs of its host.
Nothing outside our own tables is changed. What the rules do and why: ``render``.
"""

from __future__ import annotations

from bascule.drivers.nftables.driver import NftablesDriver, open_driver

__all__ = ["NftablesDriver", "open_driver"]
