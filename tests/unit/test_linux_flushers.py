"""Who empties the firewall: an enabled service that does, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.drivers.linux.flushers import flusher

FLUSHES = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {\n}\n"
SPARES = "#!/usr/sbin/nft -f\n# flush ruleset\ntable inet filter {\n}\n"


def host(root: Path, enabled: str, debian: str | None = None, fedora: bool = False) -> Path:
    wants = root / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir(parents=True)
    if enabled:
        (wants / enabled).symlink_to(f"/lib/systemd/system/{enabled}")  # leads nowhere here
    if debian is not None:
        (root / "etc/nftables.conf").write_text(debian)
    if fedora:
        (root / "etc/sysconfig").mkdir()
        (root / "etc/sysconfig/nftables.conf").write_text("")
    return root


@pytest.mark.parametrize(
    ("enabled", "debian", "fedora", "found"),
    [
        ("nftables.service", FLUSHES, False, "nftables.service"),
        ("nftables.service", "  flush ruleset;", False, "nftables.service"),
        ("nftables.service", None, True, "nftables.service"),
        # What is not enabled does nothing; nor does a file that spares others.
        ("", FLUSHES, True, ""),
        ("nftables.service", SPARES, False, ""),
        ("nftables.service", None, False, ""),
        # These take away no tables but their own.
        ("firewalld.service", FLUSHES, False, ""),
        ("ufw.service", FLUSHES, False, ""),
    ],
)
def test_who_empties_it(
    tmp_path: Path, enabled: str, debian: str | None, fedora: bool, found: str
) -> None:
    assert flusher(host(tmp_path, enabled, debian, fedora)) == found
