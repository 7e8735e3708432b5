"""Forms that a lost session interrupted: they come back filled in, and unsent (EDGES E12).

A form whose session has ended is kept for the user it was made for. Whoever signs in next in
that browser is shown it, if it is that user; nobody else ever is. It is shown by the page's own
handler, with today's rights, offers and address, whose act is refused (``guard.Visit.perform``):
what a form asks for is done only when it is sent from a page of the new session.

* Whose a form is says a field of it: the user's id, the day, and an HMAC under a key of this installation, so
  that no other site can leave a form in somebody's browser, and a stranger can fill no database.
* Which browser may have it says a cookie that no script reads; no link leads to a form, so that
  nobody is handed one that somebody else filled in (EDGES C3).
* Passwords, secrets and proofs are not kept.

What is kept is in the database, bounded in number, size and time: any server of an installation shows it,
and the server's loop deletes it after an hour (``services.watch``).
Not here: which forms come back (``@comes_back`` at their handlers).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from bascule.api.context import AppState
from bascule.domain.ids import is_guid
from bascule.errors import Conflict
from bascule.interfaces.clock import READINGS_APART
from bascule.interfaces.kept_forms import KEPT_FOR, KeptForm
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.forms import Form
from bascule.services.act import Act
from bascule.services.tokens import hash_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

KEPT_PATH = "/portal/kept"
COOKIE = "__Host-bascule-kept"
WHOSE = "whose"  # the field that says it
LONGEST = 65_536  # bytes of one form, as it is sent
MOST_FORMS = 200  # of all users; one a user
PAUSE = timedelta(seconds=5)  # after a form of a user was kept, no other one is
OPEN_FOR = 2  # days after a page was made, its form may still come
_DAY, _DIGITS = 86_400, 9
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


def whose(state: AppState, user_id: str, now: datetime) -> str:
    """The field that says that a form is this user's."""
    return _said(state, user_id, int(now.timestamp() // _DAY))


def owner_of(state: AppState, form: Form, now: datetime) -> str:
    """Whose page this form is from; empty when it is nobody's, or too old."""
    given = form.text(WHOSE)
    user_id, _, rest = given.partition(".")
    day = rest.partition(".")[0]
    if not is_guid(user_id) or not day.isascii() or not day.isdigit() or len(day) > _DIGITS:
        return ""
    is_ours = hmac.compare_digest(
        given.encode(errors="replace"), _said(state, user_id, int(day)).encode()
    )
    is_of_now = 0 <= int(now.timestamp() // _DAY) - int(day) <= OPEN_FOR
    return user_id if is_ours and is_of_now else ""


def _said(state: AppState, user_id: str, day: int) -> str:
    text = f"{user_id}.{day}"
    made = hmac.digest(state.form_key, f"whose {text}".encode(), "sha256").hex()
    return f"{text}.{made}"


async def keep(state: AppState, path: str, form: Form) -> str | None:
    """Keep a form for its user, in place of that user's one before; returns the cookie's
    text. None: it is nobody's, or too long, or came too soon after another.

    A form that is sent twice at once gets the same text: a browser may show either answer.
    """
    now = state.services.clock.now()
    user_id = owner_of(state, form, now)
    sent = urlencode(without_secrets(form).fields, doseq=True)
    if not user_id or len(sent) > LONGEST:
        return None

    def text_at(kept_at: datetime) -> str:
        whole = f"kept {user_id} {kept_at.isoformat()} {path}?{sent}"
        return hmac.digest(state.form_key, whole.encode(errors="replace"), "sha256").hex()

    def without_writing(reader: Reader) -> str | None:
        """The answer, empty where there is no text, to a form that is not to be kept."""
        user, last = reader.user(user_id), reader.kept_form_of(user_id)
        if user is None or not user.is_enabled:
            return ""
        if last is None or not -READINGS_APART < now - last.kept_at < PAUSE:
            return None
        text = text_at(last.kept_at)
        return text if hash_of(text) == last.ticket_hash else ""

    def work(tx: Transaction, _: Act) -> str:
        found = without_writing(tx)
        if found is None:
            found = text_at(now)
            tx.keep_form(KeptForm(hash_of(found), user_id, path, sent, now), MOST_FORMS)
        return found

    found = await state.services.read_few(without_writing)
    return (await state.services.perform(work) if found is None else found) or None


async def find(state: AppState, text: str, user_id: str, now: datetime) -> KeptForm | None:
    """The form that waits in this browser, if it is this user's; whoever else asks ends it."""
    ticket = hash_of(text)
    found = await state.services.read_few(lambda reader: reader.kept_form(ticket)) if text else None
    if found is None:
        return None
    if found.user_id != user_id or not now - found.kept_at < KEPT_FOR:
        await state.services.perform(lambda tx, _: tx.drop_kept_form(ticket))
        return None
    return found


def without_secrets(form: Form) -> Form:
    return Form({name: values for name, values in form.fields.items() if name not in _NOT_KEPT})
