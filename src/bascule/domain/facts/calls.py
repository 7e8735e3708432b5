"""Calls that were denied."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import MorePlaces, Number, Places, Text
from bascule.domain.facts.kind import Category, Outcome, Severity

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def meant_by(method: str, path: str) -> str:
    """The action that a call asked for, as its method and path say; empty if they do not."""
    segments = [each for each in path.split("/") if each]
    folded = [each.casefold() for each in segments]
    if "providers" not in folded[:-1]:
        return ""
    last = len(folded) - 1 - folded[::-1].index("providers")
    namespace, rest = segments[last + 1], segments[last + 2 :]
    types = rest[::2]
    is_action = method == "POST" and len(rest) % 2 == 1
    verb = f"{types.pop()}/action" if is_action else _VERBS.get(method, "action")
    return "/".join([namespace, *types, verb])


@fact(
    "Bascule.Audit/calls/deny/action",
    "Deny call",
    category=Category.CALL,
    severity=Severity.MEDIUM,
    outcome=Outcome.FORBIDDEN,
    meaning=meant_by,
)
class CallerDenied(Fact):
    """Authentication or authorisation failed."""

    method: Text
    path: Text
    reason: Text
    machines: Places = ()  # where the caller lacks the right; the first MOST_PLACES
    more_machines: MorePlaces = 0  # besides those


@fact(
    "Bascule.Audit/calls/deny/action",
    "Count denied calls",
    severity=Severity.MEDIUM,
    outcome=Outcome.BAD_REQUEST,
)
class DenialsCounted(Fact):
    """More calls of one source were denied in a minute than were recorded one by one."""

    source: Text  # an address (an IPv6 /64), a principal's id, or * for all further sources
    minute: Text  # the start of the minute; for *, perhaps of an hour
    count: Number  # in that time; for *, those that no event and no other count covers
