"""A form that makes something makes it once, however often it is sent (EDGES E12).

The form holds a key. The id of what is made is an HMAC of the session's cookie, the form's key and
all that the form says, under a key of this installation: sent again, by a second click or an hour
later, it names what is there already. So is a secret that is made with it: the second answer shows
the same one, since a browser shows only the last answer. Another session, or a form that says
something else, makes something else. Whoever has seen the cookie and the form cannot compute it.
Nothing is stored for it, so it holds over a restart, too.
"""

from __future__ import annotations

import hmac
import json
import uuid
from typing import TYPE_CHECKING

from markupsafe import Markup

from bascule.identity.secrets import new_secret, secret_of
from bascule.services.act import new_id
from bascule.services.tokens import new_text

if TYPE_CHECKING:
    from bascule.portal.guard import Visit

FIELD = "once"
LONGEST = 64  # characters of a key; a longer one is none of ours
_OF_THE_SESSION = frozenset({"csrf", "whose"})


def new_key() -> str:
    return new_text()


def field() -> Markup:
    """What a form holds for this."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, new_key())


def request_id(visit: Visit, place: int = 0) -> str:
    """The id of what this form asks for; ``place`` counts what one form makes. A form without a
    key gets a new one each time.
    """
    made = _made(visit, place)
    return str(uuid.UUID(bytes=made[:16], version=4)) if made else new_id()


def secret(visit: Visit) -> str:
    """A secret for what this form makes; likewise."""
    made = _made(visit, "secret")
    return secret_of(made) if made else new_secret()


def _made(visit: Visit, what: int | str) -> bytes:
    """Empty where the form has no key."""
    key = visit.form.text(FIELD)
    if not key or len(key) > LONGEST:
        return b""
    said = sorted(
        (name, list(values))
        for name, values in visit.form.fields.items()
        if name not in _OF_THE_SESSION
    )
    text = json.dumps([visit.session_text, visit.request.url.path, what, said])
    return hmac.digest(visit.state.form_key, text.encode(errors="replace"), "sha256")
