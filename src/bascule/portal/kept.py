"""Forms that a lost session interrupted: they come back filled in, and unsent (EDGES E12).

A form whose session has ended is kept for the user it was made for. Whoever signs in next in
that browser is shown it, if it is that user; nobody else ever is. It is shown by the page's own
handler, with today's rights, offers and address, whose act is refused (``guard.Visit.perform``):
what a form asks for is done only when it is sent from a page of the new session.

* Whose a form is says a field of it: the user's id and an HMAC under a key of this process, so
  that no other site can leave a form in somebody's browser, and a stranger can fill no memory.
* Which browser may have it says a cookie that no script reads; no link leads to a form, so that
  nobody is handed one that somebody else filled in (EDGES C3).
* Passwords, secrets and proofs are not kept.

What is kept is bounded in number, size and time, and is gone when the server restarts.
Not here: which forms come back (``@comes_back`` at their handlers).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from bascule.api.context import AppState
from bascule.domain.ids import is_guid
from bascule.errors import Conflict
from bascule.portal.forms import Form, form_of
from bascule.services.tokens import new_text

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

KEPT_PATH = "/portal/kept"
COOKIE = "__Host-bascule-kept"
WHOSE = "whose"  # the field that says it
KEPT_FOR = timedelta(hours=1)
LONGEST = 65_536  # bytes of one form, as it is sent
MOST_FORMS = 200  # of all users; one a user
_NOT_KEPT = frozenset({"csrf", WHOSE, "once", "password", "client_secret"})
_COMING_BACK: set[Callable[..., Any]] = set()


class FormUnsent(Conflict):
    """The act of a form that came back: it is shown, not done."""

    code = "FormUnsent"


def unsent() -> FormUnsent:
    return FormUnsent(
        "Your session had ended, so nothing was done. The form is as you filled it in.",
        advice="Check it and send it again.",
    )


def comes_back(endpoint: Endpoint) -> Endpoint:
    """Declare that a form's handler acts by ``Visit.perform`` alone, and shows its form, filled
    in, when that refuses.
    """
    _COMING_BACK.add(endpoint)
    return endpoint


def does_come_back(endpoint: Callable[..., Any]) -> bool:
    return endpoint in _COMING_BACK


@dataclass(frozen=True, slots=True)
class Kept:
    """A form that waits for its user."""

    user_id: str
    path: str  # where it was sent
    text: str  # as it is sent: an object a field would take twenty times as much
    kept_at: datetime

    @property
    def form(self) -> Form:
        return form_of(self.text)


class KeptForms:
    """What waits, by the hash of the browser's cookie. May be used from any thread."""

    def __init__(self, _: AppState) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._forms: OrderedDict[str, Kept] = OrderedDict()

    def whose(self, user_id: str) -> str:
        """The field that says that a form is this user's."""
        made = hmac.digest(self._key, user_id.encode(), "sha256").hex()
        return f"{user_id}.{made}"

    def owner_of(self, form: Form) -> str:
        """Whose page this form is from; empty when it is nobody's."""
        given = form.text(WHOSE)
        user_id = given.partition(".")[0]
        is_owned = is_guid(user_id) and hmac.compare_digest(
            given.encode(errors="replace"), self.whose(user_id).encode()
        )
        return user_id if is_owned else ""

    def keep(self, path: str, form: Form, now: datetime) -> str | None:
        """Keep a form for its user, in place of that user's one before; returns the cookie's
        text. None: it is nobody's, or too long.
        """
        user_id, sent = self.owner_of(form), urlencode(without_secrets(form).fields, doseq=True)
        if not user_id or len(sent) > LONGEST:
            return None
        text = new_text()
        with self._lock:
            for ticket in [key for key, each in self._forms.items() if each.user_id == user_id]:
                del self._forms[ticket]
            self._forms[_hash(text)] = Kept(user_id, path, sent, now)
            while len(self._forms) > MOST_FORMS:
                self._forms.popitem(last=False)
        return text

    def find(self, text: str, user_id: str, now: datetime) -> Kept | None:
        """The form that waits in this browser, if it is this user's; whoever else asks ends it."""
        with self._lock:
            kept = self._forms.get(_hash(text)) if text else None
            if kept is None:
                return None
            if kept.user_id != user_id or not now - kept.kept_at < KEPT_FOR:
                del self._forms[_hash(text)]
                return None
            return kept


def without_secrets(form: Form) -> Form:
    return Form({name: values for name, values in form.fields.items() if name not in _NOT_KEPT})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
