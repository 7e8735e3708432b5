"""How much may live at a time: grants and openings of a requestor and of a machine.

A requestor has at most 100 live grants on a machine, a machine 10,000. Their openings, one per
source and transport protocol, are at most 2,000 and 30,000: a set of the kernel that is full
refuses everything else that is to be changed with it. What a machine's agent is told is at most
4 MiB (EDGES E4), since it reads no more than 8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bascule.domain.grant import Grant
from bascule.errors import Problem
from bascule.sentences import sentence

MAXIMUM_LIVE_PER_REQUESTOR = 100  # on one machine, EDGES A15
MAXIMUM_LIVE_PER_MACHINE = 10_000
MAXIMUM_OPENINGS_PER_REQUESTOR = 2_000  # on one machine: 1,000 sources of a port, TCP and UDP
MAXIMUM_OPENINGS_PER_MACHINE = 30_000  # twice that fits in a set of the kernel
MAXIMUM_STATE = 4 * 1024 * 1024  # bytes of what one machine's agent is told, EDGES E4


def check_limits(
    grants: Sequence[Grant],
    live: Sequence[Grant],
    superseded: Sequence[Grant],
    requestor_id: str,
) -> Iterable[Problem]:
    gone = {grant.id for grant in superseded}
    kept = [grant for grant in live if grant.id not in gone]
    on_machine = Counter(grant.machine_uid for grant in kept)
    mine = Counter(g.machine_uid for g in kept if g.requestor_id == requestor_id)
    for uid, new in Counter(grant.machine_uid for grant in grants).items():
        if mine[uid] + new > MAXIMUM_LIVE_PER_REQUESTOR:
            yield Problem(
                "TooManyGrants",
                sentence(
                    "You would have {count} live grants on one machine; at most {most} "
                    "are allowed. Revoke some first.",
                    count=mine[uid] + new,
                    most=MAXIMUM_LIVE_PER_REQUESTOR,
                ),
            )
        if on_machine[uid] + new > MAXIMUM_LIVE_PER_MACHINE:
            yield Problem(
                "TooManyGrants",
                sentence(
                    "The machine would have {count} live grants; at most {most} are allowed.",
                    count=on_machine[uid] + new,
                    most=MAXIMUM_LIVE_PER_MACHINE,
                ),
            )
    yield from _check_openings(grants, kept, requestor_id)


def _check_openings(
    grants: Sequence[Grant], kept: Sequence[Grant], requestor_id: str
) -> Iterable[Problem]:
    on_machine, mine, asked = Counter[str](), Counter[str](), Counter[str]()
    for grant in kept:
        on_machine[grant.machine_uid] += grant.opening_count
        if grant.requestor_id == requestor_id:
            mine[grant.machine_uid] += grant.opening_count
    for grant in grants:
        asked[grant.machine_uid] += grant.opening_count
    for uid, new in asked.items():
        if mine[uid] + new > MAXIMUM_OPENINGS_PER_REQUESTOR:
            yield Problem(
                "TooManyOpenings",
                sentence(
                    "You would have {count} openings on one machine, counting each source"
                    " for TCP and for UDP; at most {most} are allowed. Give fewer "
                    "sources, or a range that contains them.",
                    count=mine[uid] + new,
                    most=MAXIMUM_OPENINGS_PER_REQUESTOR,
                ),
            )
        if on_machine[uid] + new > MAXIMUM_OPENINGS_PER_MACHINE:
            yield Problem(
                "TooManyOpenings",
                sentence(
                    "The machine would have {count} openings, counting each source for "
                    "TCP and for UDP; at most {most} are allowed. Give fewer sources, or "
                    "a range that contains them.",
                    count=on_machine[uid] + new,
                    most=MAXIMUM_OPENINGS_PER_MACHINE,
                ),
            )


def check_state(
    grants: Iterable[Grant],
    live: Iterable[Grant],
    superseded: Iterable[Grant],
    told_beside: Mapping[str, int],
) -> Iterable[Problem]:
    """Check that the state for each machine's agent does not become too large."""
    gone = {grant.id for grant in superseded}
    told = Counter(told_beside)
    for grant in (*(each for each in live if each.id not in gone), *grants):
        told[grant.machine_uid] += grant.told_size
    for uid in dict.fromkeys(grant.machine_uid for grant in grants):
        if told[uid] > MAXIMUM_STATE:
            yield Problem(
                "StateTooLarge",
                sentence(
                    "The state of the machine's agent would be {size} bytes; at most "
                    "{most} are allowed. Give fewer sources, or a range that contains "
                    "them, or try again when other access to this machine has ended.",
                    size=told[uid],
                    most=MAXIMUM_STATE,
                ),
            )
