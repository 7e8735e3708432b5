"""Who on this host empties the whole firewall, other people's rules too. Reads only.

firewalld, ufw and iptables take away their own tables or chains and no others. nftables'
own service runs ``flush ruleset`` at each start, stop and reload: by its file on Debian, in
its unit on Fedora. A table that is owned survives that; one that cannot be owned does not.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

SERVICE = "nftables.service"
_WANTS = "etc/systemd/system"
_DEBIAN = "etc/nftables.conf"
_FEDORA = "etc/sysconfig/nftables.conf"
_FLUSH = re.compile(r"^\s*flush\s+ruleset\b", re.MULTILINE)


def flusher(root: Path = Path("/")) -> str:
    """The service that does so when it is enabled; empty when there is none."""
    is_enabled = any(
        (wants / SERVICE).is_symlink() for wants in root.glob(f"{_WANTS}/*.target.wants")
    )
    if not is_enabled:
        return ""
    with contextlib.suppress(OSError, ValueError):
        if _FLUSH.search((root / _DEBIAN).read_text(encoding="utf-8")):
            return SERVICE
    return SERVICE if (root / _FEDORA).exists() else ""
