"""What a server says to the person who started it: where to go first, and the recovery key, once.

A service manager's log is read by many: it is told where a secret is, not what it is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from bascule.bootstrap.backup_commands import KEEP, make_recovery_key

if TYPE_CHECKING:
    from bascule.bootstrap.set_up_file import MadeLink
    from bascule.identity.recovery_key import RecoveryKey
    from bascule.interfaces.store import Transaction
    from bascule.services.act import Act

log = structlog.get_logger("bascule.server")


@dataclass(slots=True)
class FirstWords:
    """``admin_file``: of a first start; None: of another."""

    admin_file: Path | None
    set_up_file: Path
    recovery: RecoveryKey | None = None

    def make_recovery_key(self, tx: Transaction, act: Act) -> None:
        """In the act that makes the installation, if somebody is there to be told."""
        self.recovery = make_recovery_key(tx, act) if _is_watched() else None

    def say(self, link: MadeLink | None) -> None:
        if link is not None:
            log.info("set-up link made", file=str(self.set_up_file))
            if self.recovery is None:
                log.info("no recovery key yet", make="bascule admin recovery-key --data DATA")
        if not _is_watched():
            return
        if link is not None:
            click.echo(f"next: open {link.url}\n      {link.terms}", err=True)
        if self.admin_file is not None and self.admin_file.exists():
            click.echo(f"next: bascule login --admin-file {self.admin_file}", err=True)
        if self.recovery is not None:
            click.echo(f"recovery key: {self.recovery.text}\n      {KEEP}", err=True)


def _is_watched() -> bool:
    """Does a person read what we say? A service manager's log needs no advice."""
    return sys.stderr.isatty()
