"""The mark that a successful sign-in leaves in a browser (EDGES E5): ``interfaces.BrowserMarks``.

Sealed by this installation's key, so that nobody makes one and nobody reads in it whose it is;
nothing is kept of it here. It holds for ninety days, for one user of one epoch: a new password,
signing out everywhere, disabling and deleting end it, and a new user of the same name has another
id. When the key is lost or replaced, every mark is void until its owner signs in again.
What is not here: what it is good for (``services.sign_in``), the cookie (``api.oauth.browser``).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bascule.domain.principals import User
from bascule.domain.tokens import MARK_LIFE, SignIn
from bascule.identity.sealing import Sealer

LONGEST = 400  # characters; ours have about 160
_PURPOSE = "browser mark"


class SealedMarks:
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def make(self, user: User, now: datetime) -> str:
        content = {"u": user.id, "p": user.epoch, "a": int(now.timestamp())}
        return self._sealer.seal(_PURPOSE, json.dumps(content, separators=(",", ":")).encode())

    def sign_in(self, mark: str, now: datetime) -> SignIn | None:
        content = self._sealer.open(_PURPOSE, mark) if 0 < len(mark) <= LONGEST else None
        if content is None:
            return None
        said = json.loads(content)  # nobody else sealed it
        at = datetime.fromtimestamp(said["a"], UTC)
        return SignIn(said["u"], said["p"], at, ()) if now < at + MARK_LIFE else None
