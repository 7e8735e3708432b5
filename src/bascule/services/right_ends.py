"""When the right to a machine ends because a membership does, or a program's own secret or
certificate (EDGES J9).

Somebody gave it that end, so it is known in advance: no grant that rests on it is
given for longer, and the host ends it without being told. What is not here: taking away what
is over (``expired_memberships``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bascule.domain.access import Subject
from bascule.domain.grant import Grant, cut_to
from bascule.domain.ids import ResourceId
from bascule.domain.scopes import resource_scope
from bascule.domain.times import format_utc
from bascule.errors import Forbidden
from bascule.interfaces.principals import PrincipalReads
from bascule.sentences import sentence
from bascule.services.request_rights import NEEDED_TO_ASK
from bascule.services.rights import RightsReads, rights_by, stated_ends


@dataclass(frozen=True, slots=True)
class RightEnd:
    """The first moment at which the right is no longer held, and what gave it until then."""

    at: datetime
    group: str = ""  # the name of the group whose membership ends; empty: the credential does
    credential: str = ""  # the id of the program's secret or certificate


def known_ends(
    reader: RightsReads,
    subject: Subject,
    now: datetime,
    machines: Collection[ResourceId],
    needed: Sequence[str] = NEEDED_TO_ASK,
) -> Mapping[ResourceId, RightEnd]:
    """As ``right_ends``, and when the credential ends by which a program asks; the earlier counts.

    Whoever calls has proved that the credential is valid now, in the same transaction.
    """
    found = dict(right_ends(reader, subject.principal_id, now, machines, needed))
    if subject.credential_ends_at is not None:
        own = RightEnd(subject.credential_ends_at, credential=subject.credential_id)
        for machine in machines:
            if machine not in found or own.at < found[machine].at:
                found[machine] = own
    return found


def asking_by(
    reader: PrincipalReads, subject: Subject, credential_id: str, now: datetime
) -> Subject:
    """The subject, as it asked by this credential (empty: people have none).

    Raises Forbidden where that was removed or has expired.
    """
    if not credential_id:
        return subject
    known = reader.credential(credential_id)
    if known is None or known.principal_id != subject.principal_id or not known.holds_at(now):
        raise Forbidden(
            sentence(
                "The secret or certificate by which {program} asked was removed or has expired.",
                program=subject.name,
            ),
            code="CredentialOver",
            advice="Ask again with one that is valid.",
        )
    return replace(subject, credential_id=known.key_id, credential_ends_at=known.expires_at)


def right_ends(
    reader: RightsReads,
    principal_id: str,
    now: datetime,
    machines: Iterable[ResourceId],
    needed: Sequence[str] = NEEDED_TO_ASK,
) -> Mapping[ResourceId, RightEnd]:
    """When ``principal_id`` loses the right to ask for these machines, which is ``needed`` there; those
    of no stated end are left out.

    A right that is left by another way counts: another group, an own assignment, a membership that
    a provider vouches for.
    """
    stated = stated_ends(reader, principal_id, now)
    if not stated:
        return {}
    memberships = reader.memberships_of(principal_id, now)
    groups = {each.group_id for each in memberships}
    lasting = {each.group_id for each in memberships if not each.stated_end}
    found: dict[ResourceId, RightEnd] = {}
    left = list(dict.fromkeys(machines))
    for each in stated:  # soonest first; at most one in each group
        assert each.stated_end is not None  # noqa: S101  # reason: stated_ends gives no others
        if each.group_id in lasting:
            continue
        groups.discard(each.group_id)
        held = rights_by(reader, [principal_id, *sorted(groups)])
        reaches = [held.reach(action) for action in needed]
        lost = [
            machine
            for machine in left
            if not all(reach.covers(resource_scope(machine).key) for reach in reaches)
        ]
        if lost:
            group = reader.group(each.group_id)
            end = RightEnd(each.stated_end, group.name if group else each.group_id)
            found.update(dict.fromkeys(lost, end))
            left = [machine for machine in left if machine not in found]
    return found


def ended_in_time(grant: Grant, end: RightEnd | None) -> Grant:
    """The grant, ending no later than the right does."""
    if end is None or grant.ends_at <= end.at:
        return grant
    shorter = cut_to(grant, end.at, format_utc(end.at))
    return replace(shorter, ends_with_group=end.group, ends_with_credential=end.credential)
