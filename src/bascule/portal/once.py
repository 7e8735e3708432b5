"""A form that asks for access makes one request, however often it is sent (EDGES E12).

The form holds a key. The request's id is an HMAC of the key and of all that the form says, under
the session's cookie: sent once more, by a second click or an hour later, it names the request
that is there. Another session, or a form that says something else, names another one. Nothing is
kept for it: the request itself is what is remembered, so it holds over a restart, too.
"""

from __future__ import annotations

import hmac
import json
import uuid
from typing import TYPE_CHECKING

from bascule.services.act import new_id
from bascule.services.tokens import new_text

if TYPE_CHECKING:
    from bascule.portal.guard import Visit

FIELD = "once"
LONGEST = 64  # characters of a key; a longer one is none of ours
_OF_THE_SESSION = frozenset({"csrf", "whose"})


def new_key() -> str:
    return new_text()


def request_id(visit: Visit, place: int = 0) -> str:
    """The id of what this form asks for; ``place`` counts the requests of one form. A form
    without a key gets a new one each time.
    """
    key = visit.form.text(FIELD)
    if not key or len(key) > LONGEST:
        return new_id()
    said = sorted(
        (name, list(values))
        for name, values in visit.form.fields.items()
        if name not in _OF_THE_SESSION
    )
    text = json.dumps([visit.request.url.path, place, said])
    made = hmac.digest(visit.session_text.encode(), text.encode(errors="replace"), "sha256")
    return str(uuid.UUID(bytes=made[:16], version=4))
