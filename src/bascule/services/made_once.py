"""A form that is sent twice does not create again what was deleted in between (EDGES E12).

A form that is sent again names the id, and the secret, of what it made. Whoever removed that meant
its secret to hold no longer. The record tells of it for longer than the session that the form is of.
"""

from __future__ import annotations

from bascule.domain.facts.enrolments import EnrolmentCreated
from bascule.domain.facts.service_principals import CredentialAdded
from bascule.domain.tokens import SESSION_LIFE
from bascule.errors import Conflict
from bascule.interfaces.record import EventFilter, EventReads
from bascule.services.act import Act


def check_not_made(tx: EventReads, act: Act, made_id: str) -> None:
    """Raise Conflict when the caller has made a credential or an enrolment token of this id before;
    to be asked when it is no longer there. Empty: nobody's.
    """
    if not made_id:
        return
    kinds = (CredentialAdded.__name__, EnrolmentCreated.__name__)
    since = act.now - SESSION_LIFE
    wanted = EventFilter(kinds=kinds, since=since, principal_id=act.actor.principal_id)
    facts = [event.fact for _, event in tx.events(wanted)]
    known = {fact.key_id for fact in facts if isinstance(fact, CredentialAdded)}
    known |= {fact.enrolment_id for fact in facts if isinstance(fact, EnrolmentCreated)}
    if made_id in known:
        raise Conflict(
            "This form has been used: what it made was removed since, and its secret stays void.",
            code="FormUsed",
            advice="Reload the page and send the form again.",
        )
