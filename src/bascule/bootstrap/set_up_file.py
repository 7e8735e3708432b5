"""``DATA/set-up-link``: the link of a first visit, for who owns the data directory (EDGES C0).

Written before the database knows the link, as ``admin.json`` is: a start that was killed
between the two makes another. A service manager's log is no place for it: this file is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bascule.files import write_atomically
from bascule.interfaces.store import Reader, Transaction
from bascule.services.act import Act
from bascule.services.set_up import link_of, make_link

SET_UP_FILE = "set-up-link"
_QUERY = "/portal/welcome?link="


@dataclass(frozen=True, slots=True)
class MadeLink:
    url: str  # a secret
    ends_at: datetime

    @property
    def terms(self) -> str:
        return f"It works once, until {self.ends_at:%Y-%m-%d %H:%M:%S} UTC."


class SetUpFile:
    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir.absolute() / SET_UP_FILE

    def make(self, tx: Transaction, act: Act, endpoint: str) -> MadeLink:
        """A new link, in the file too, readable by its owner alone."""
        text, link = make_link(tx, act)
        made = MadeLink(f"{endpoint}{_QUERY}{text}", link.ends_at)
        write_atomically(self.path, f"{made.url}\n{made.terms}\n")
        return made

    def tidy(self, reader: Reader, now: datetime) -> None:
        """Remove the file when its link opens nothing any more."""
        try:
            text = self.path.read_text().partition(_QUERY)[2].partition("\n")[0]
        except FileNotFoundError:
            return
        if link_of(reader, text, now) is None:
            self.forget()

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
