"""From what was typed to what is meant: machines by name, requests by the start of their id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from bascule.cli.clean import clean
from bascule.client.access import AccessRequest, get_request, list_requests
from bascule.client.located import Located, locate, located
from bascule.domain.ids import ResourceId, is_guid, machine_id, parse_name
from bascule.domain.lifecycle import RequestState
from bascule.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.client.machines import Machine

M = TypeVar("M", "Located", "Machine")
SHORT_ID = 8  # characters of a request's id that are shown, and enough to name it


def find_machine(connection: Connection, wanted: str) -> Machine:
    """A machine by its name in any resource group, or by its whole id.

    Raises NotFound, and InvalidInput that lists the candidates when a name is ambiguous.
    """
    from bascule.client.machines import get_machine, machines_named  # noqa: PLC0415  # reason: slow to load, ssh needs less

    if wanted.startswith("/"):
        return get_machine(connection, ResourceId.parse_machine(wanted))
    parse_name(wanted, "Machine")
    return _only(connection, wanted, machines_named(connection, wanted))


def find_located(connection: Connection, wanted: str) -> Located:
    """The same, of which only id and addresses are read."""
    if wanted.startswith("/"):
        return locate(connection, ResourceId.parse_machine(wanted))
    parse_name(wanted, "Machine")
    return _only(connection, wanted, located(connection, wanted))


def _only(connection: Connection, wanted: str, found: Sequence[M]) -> M:
    if not found:
        from bascule.client.machines import list_machines  # noqa: PLC0415  # reason: as above

        known = _names(list_machines(connection))
        raise NotFound(
            f"There is no machine {wanted} that you may see.",
            advice=f"You may see: {known}. If {wanted} exists, you need a role for it: ask its "
            f"owner (bascule role assign). To add it: bascule machine add {wanted} "
            f"--address ADDRESS",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} machines are called {wanted}. Give the id instead:",
            code="AmbiguousMachine",
            problems=[Problem("Candidate", str(each.id)) for each in found],
        )
    return found[0]


def new_machine_id(connection: Connection, wanted: str, group: str) -> ResourceId:
    """The id that a machine of that name has in a group, or the id that was given whole."""
    if wanted.startswith("/"):
        return ResourceId.parse_machine(wanted)
    return machine_id(connection.subscription_id, group, parse_name(wanted, "Machine"))


def find_request(connection: Connection, wanted: str) -> AccessRequest:
    """A request by its id, or by the first characters of the id of one that is live."""
    if is_guid(wanted):
        return get_request(connection, wanted.lower())
    live = live_requests(connection, None, is_mine=False)
    found = [each for each in live if wanted and each.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{len(found)} live requests begin with {wanted}. Give more characters of the id:",
            code="AmbiguousRequest",
            problems=_candidates(found),
        )
    raise NotFound(
        f"No live request begins with {clean(wanted)[:80]!r}.",
        advice="To see live requests: bascule status. To name a machine instead: --machine NAME. "
        "A request that has ended needs its whole id.",
    )


def requestor_words(request: AccessRequest) -> str:
    """Who asked, and whether as an emergency."""
    return f"{request.requestor} (EMERGENCY)" if request.is_emergency else request.requestor


def find_unreviewed(connection: Connection, wanted: str) -> AccessRequest:
    """A request by its id, or by the first characters of the id of emergency access to be reviewed."""
    if is_guid(wanted):
        return get_request(connection, wanted.lower())
    listed = list_requests(connection, needs_review=True)
    found = [each for each in listed if wanted and each.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{len(found)} requests begin with {wanted}. Give more characters of the id:",
            code="AmbiguousRequest",
            problems=_candidates(found),
        )
    raise NotFound(
        f"No emergency access that needs a review begins with {clean(wanted)[:80]!r}.",
        advice="To see what does: bascule approvals --emergencies",
    )


def find_waiting(connection: Connection, wanted: str) -> AccessRequest:
    """A request by its id, or by the first characters of the id of one that waits, for approval or its start."""
    if is_guid(wanted):
        return get_request(connection, wanted.lower())
    # Who is asked may read it for that alone, and does not find it among all.
    waiting = [
        *list_requests(connection, waits_for_me=True),
        *list_requests(connection, state=RequestState.WAITING),
        *list_requests(connection, state=RequestState.SCHEDULED),
    ]
    known = {each.id: each for each in waiting}
    found = [each for each in known.values() if wanted and each.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{len(found)} waiting requests begin with {wanted}. Give more characters of the id:",
            code="AmbiguousRequest",
            problems=_candidates(found),
        )
    raise NotFound(
        f"No waiting request begins with {clean(wanted)[:80]!r}.",
        advice="To see what waits: bascule approvals --all. A request that does not wait any more needs "
        "its whole id.",
    )


def live_requests(
    connection: Connection, machine: ResourceId | None, *, is_mine: bool
) -> list[AccessRequest]:
    """Those that wait for approval or of which a port is live: one that is closing needs no second
    revocation.
    """
    found = list_requests(connection, is_live=True, is_mine=is_mine, machine=machine)
    return [each for each in found if each.is_live]


def my_only_request(live: Sequence[AccessRequest], verb: str) -> AccessRequest:
    """The one that a bare command means; raises NotFound, or InvalidInput with the list."""
    if not live:
        if verb == "withdraw":
            raise NotFound("None of your requests waits for approval.")
        raise NotFound("You have nothing open.", advice="To see everybody's: bascule status.")
    if len(live) > 1:
        raise InvalidInput(
            f"You have {len(live)} such requests. Choose one: bascule {verb} REQUEST",
            code="AmbiguousRequest",
            problems=_candidates(live),
        )
    return live[0]


def _candidates(requests: Sequence[AccessRequest]) -> list[Problem]:
    return [Problem("Candidate", f"{short_id(each)}  {summary(each)}") for each in requests]


def short_id(request: AccessRequest) -> str:
    return request.id[:SHORT_ID]


def summary(request: AccessRequest) -> str:
    """Its machines and ports in a few words."""
    return "; ".join(
        f"{machine.id.name} {', '.join(port_words(p.number, p.protocol) for p in machine.ports)}"
        for machine in request.machines
    )


def port_words(number: int, protocol: str) -> str:
    """22/tcp; ``*`` stays as it is, it covers both."""
    return f"{number}/{protocol.lower()}" if protocol else str(number)


def _names(machines: Sequence[Machine]) -> str:
    shown = sorted({each.name for each in machines})
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
    return (", ".join(shown[:10]) or "none") + more
