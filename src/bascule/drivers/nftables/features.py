"""What nftables can do here, found by writing and reading back. Nothing of it stays.

``flags owner`` (kernel 5.12) makes other tools' writes fail and their ``flush ruleset``
skip the table; ``persist`` (kernel 6.9, nft 1.1) keeps the table when the owner dies. One
without the other opens every port, so they are used together or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.domain.weaknesses import (
    CONNECTIONS_UNLISTED,
    SOCKETS_KEPT,
    TABLE_UNOWNED,
    Weakness,
)
from bascule.drivers.linux import conntrack, facts, flushers, sockets
from bascule.drivers.nftables import parse, render
from bascule.drivers.nftables.layout import ALWAYS, ALWAYS_BEHIND, ALWAYS_MAPPED, FLAGS
from bascule.drivers.nftables.library import NOT_PERMITTED, Context, says
from bascule.errors import ConfigurationError, EnforcementFailed

NEEDED = ((5, 10), (1, 0))  # kernel, nftables: for our rules
_NEEDED_TEXT = (
    "Bascule needs Linux 5.10 and nftables 1.0.6, Debian 12's; older ones were never tried."
)
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Features:
    flags: tuple[str, ...]  # what our table is written with; empty: it cannot be owned
    has_conntrack: bool
    can_destroy: bool
    weaknesses: tuple[Weakness, ...]
    facts: Mapping[str, str]
    flushed_by: str = ""

    @property
    def is_owned(self) -> bool:
        return bool(self.flags)


def probe(context: Context, use_owner: bool = True) -> Features:
    """Find out. Raises ConfigurationError when our rules cannot be used here at all."""
    _require_rules(context)
    _require_sockets()
    flags = FLAGS if use_owner and _can_own(context) else ()
    has_conntrack, can_destroy = _has_conntrack(), sockets.can_destroy()
    kernel, nftables = facts.kernel_version(), facts.nft_version()
    found = (
        (not flags, TABLE_UNOWNED(kernel=kernel, nftables=nftables)),
        (not can_destroy, SOCKETS_KEPT()),
        (not has_conntrack, CONNECTIONS_UNLISTED()),
    )
    return Features(
        flags=flags,
        has_conntrack=has_conntrack,
        can_destroy=can_destroy,
        weaknesses=tuple(weakness for is_so, weakness in found if is_so),
        facts={"kernel": kernel, "nftables": nftables},
        # Of a table that is owned nobody takes anything away.
        flushed_by="" if flags else flushers.flusher(),
    )


def too_old(needed: tuple[tuple[int, ...], tuple[int, ...]]) -> list[str]:
    """Which of kernel and nftables are, in words; empty when both would do or are not known."""
    found = (("Linux", facts.kernel_version()), ("nftables", facts.nft_version()))
    return [
        f"{what} {version} is older than {'.'.join(map(str, least))}"
        for (what, version), least in zip(found, needed, strict=True)
        if (number := _VERSION.match(version)) and tuple(map(int, number.groups())) < least
    ]


def _scratch() -> str:
    return f"bascule_probe_{os.getpid()}"


def _require_rules(context: Context) -> None:
    try:
        context.check(render.definition(_scratch(), ALWAYS | ALWAYS_BEHIND, ()))
    except EnforcementFailed as error:
        if says(error, NOT_PERMITTED):
            raise ConfigurationError(
                "Changing the firewall is not permitted.",
                advice="Run as root, or give CAP_NET_ADMIN (systemd: AmbientCapabilities="
                "CAP_NET_ADMIN).",
            ) from error
        why = " and ".join(too_old(NEEDED))
        if why:
            raise ConfigurationError(
                f"Bascule cannot keep any port of this host closed: {why}.",
                advice=f"Upgrade it. {_NEEDED_TEXT} ({error.message})",
            ) from error
        raise ConfigurationError(
            f"This kernel or nftables cannot hold our rules: {error.message}",
            advice=f"{_NEEDED_TEXT} The kernel needs the modules nft_ct, nft_fib_inet and "
            "nft_reject_inet.",
        ) from error


def require_translation(context: Context) -> None:
    """Raise EnforcementFailed where no public port can stand for a machine's; most hosts need none."""
    try:
        context.check(render.definition(_scratch(), ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED, ()))
    except EnforcementFailed as error:
        raise EnforcementFailed(
            f"This kernel or nftables cannot translate public ports: {error.message}",
            advice="Load the modules nft_chain_nat and nft_nat.",
        ) from error


def _require_sockets() -> None:
    try:
        sockets.local_connections([1])
    except OSError as error:
        raise ConfigurationError(
            f"The kernel's connections cannot be listed: {error}.",
            advice="Load the module: modprobe tcp_diag.",
        ) from error


def _can_own(context: Context) -> bool:
    name = _scratch()
    try:
        context.run(render.ownership(name, FLAGS))
    except EnforcementFailed:
        return False
    try:
        return parse.table(context.run(f"list table inet {name}")).layout.flags == frozenset(FLAGS)
    except ValueError:
        return False
    finally:
        context.run(render.delete(name))


def _has_conntrack() -> bool:
    try:
        conntrack.translated_connections()
    except OSError:
        return False
    return True
