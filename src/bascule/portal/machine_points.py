"""A machine with its enforcement points, as its page *Gateways* and that page's forms show it.

A form carries what it showed (``seen``): the live grants, and each gateway with its addresses, its
former ones and its order. Where any of it changed meanwhile, nothing is done and the form is shown
again (EDGES F3). What is not here: the page and its acts (``pages.machine_gateways``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE, POINT_READ
from bascule.domain.bindings import Binding
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.points import patience_of
from bascule.domain.scopes import resource_scope
from bascule.errors import Conflict
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import Visit
from bascule.portal.iam import require_in
from bascule.portal.machine import ShownMachine, path_of, read_machine, wanted_id
from bascule.portal.plain_forms import Field
from bascule.sentences import sentence
from bascule.services import guarded
from bascule.services.act import Act
from bascule.services.bindings import check_owned
from bascule.services.fleet import is_online


@dataclass(frozen=True, slots=True)
class Row:
    """One point as this machine has it."""

    binding: Binding
    point: EnforcementPoint
    gateway: Machine  # whose agent it is
    is_online: bool
    page: str  # of the point; empty: the visitor may not see it

    @property
    def patience(self) -> object:
        return patience_of(self.binding)


@dataclass(frozen=True, slots=True)
class Place:
    """A machine with its points."""

    shown: ShownMachine
    rows: Sequence[Row]  # its own agent first, then those in series
    live: int  # grants, which a change ends
    seen: str  # what a form carries of all that
    offered: Sequence[str] = ()  # names of gateways

    @property
    def machine(self) -> Machine:
        return self.shown.machine

    @property
    def gateways(self) -> Sequence[Row]:
        return [each for each in self.rows if not each.binding.is_own]

    @property
    def path(self) -> str:
        return f"{path_of(self.machine.id)}/gateways"

    @property
    def seen_field(self) -> Field:
        return Field("seen", value=self.seen, kind="hidden")


def read_place(visit: Visit, reader: Reader, group: str, name: str) -> Place:
    """Raises Forbidden, also for who may not read points there; NotFound."""
    shown = read_machine(visit, reader, wanted_id(visit, group, name))
    require_in(reader, visit, POINT_READ, resource_scope(shown.machine.id))
    rows = [
        Row(
            bound,
            point,
            gateway,
            is_online(point, visit.now),
            f"/portal/points/{gateway.uid}"
            if visit.may(POINT_READ, resource_scope(gateway.id))
            else "",
        )
        for bound, point, _, gateway in guarded.points_at(reader, shown.machine.id)
    ]
    rows.sort(key=lambda e: (not e.binding.is_own, e.binding.is_parallel, e.gateway.id.name))
    uid = shown.machine.uid
    return Place(shown, rows, len(reader.live_grants([uid])), _digest(reader, uid))


def _digest(reader: Reader, machine_uid: str) -> str:
    """Of the live grants, and where each gateway has the machine."""
    live = sorted(each.id for each in reader.live_grants([machine_uid]))
    gateways = sorted(
        (
            each.point_uid,
            sorted(map(str, each.addresses)),
            sorted(map(str, each.former)),
            each.is_parallel,
            each.trusts_route,
        )
        for each in reader.bindings_of(machine_uid)
        if not each.is_own
    )
    return sha256(repr((live, gateways)).encode()).hexdigest()


def check_shown(tx: Transaction, act: Act, visit: Visit, place: Place) -> None:
    """Raise Conflict where the machine is not as the form showed it, for whoever may bind it; else
    Forbidden.
    """
    check_owned(tx, act, visit.subject, place.machine.id)
    if visit.form.text("seen") != _digest(tx, place.machine.uid):
        raise Conflict(
            sentence(
                "The gateways of {machine}, or open access to it, have changed since the form was "
                "shown. Nothing was done.",
                machine=place.machine.id.name,
            ),
            code="NotAsShown",
        )


def trail_of(visit: Visit, place: Place) -> Sequence[tuple[str, str]]:
    machine = place.machine.id
    return (
        (visit.words("Virtual machines"), "/portal/machines"),
        (machine.name, path_of(machine)),
        (visit.words("Gateways"), place.path),
    )


def ending(visit: Visit, place: Place) -> Sequence[str]:
    if not place.live:
        return ()
    return (visit.words.ngettext("{n} live access ends.", "{n} live accesses end.", place.live),)


def why_not(visit: Visit, machine: Machine) -> str:
    scope = resource_scope(machine.id)
    return visit.why_not(ENROLMENT_WRITE, scope) or visit.why_not(MACHINE_WRITE, scope)
