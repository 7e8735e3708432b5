"""What the pages of one machine share: which machine it is, and what this visitor may there.

A machine is read with the right that its API routes ask for, before anybody is told whether
there is one. What policies say and who asked for what is narrowed as the API narrows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from bascule.domain.actions import (
    ENROLMENT_WRITE,
    INITIATE,
    MACHINE_READ,
    MACHINE_WRITE,
    POLICY_READ,
    POLICY_WRITE,
)
from bascule.domain.ids import ResourceId, is_resource_group_name, machine_id, parse_name
from bascule.domain.machine import Machine, OsType
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol
from bascule.domain.policy import DEFAULT_DURATION, PortRule
from bascule.domain.scopes import resource_scope
from bascule.errors import NotFound
from bascule.interfaces.store import Reader
from bascule.portal.codes import text_of
from bascule.portal.guard import Visit
from bascule.sentences import sentence
from bascule.services.known_machine import known_machine
from bascule.services.request_rights import NEEDED_TO_ASK, Sight, sight_of
from bascule.services.rights import Needed, check
from bascule.services.views import MachineView, view_machine

TABS = (
    ("overview", ""),
    ("configuration", "/configuration"),
    ("connect", "/connect"),
    ("gateways", "/gateways"),
    ("activity", "/activity"),
)
SERVICES: Mapping[int, str] = {22: "SSH", 3389: "RDP", 5985: "WinRM", 5986: "WinRM (TLS)"}
DEFAULT_PORTS = {OsType.LINUX: 22, OsType.WINDOWS: 3389}
ANYWHERE = (AddressPrefix(None),)
_ASKED = (POLICY_READ, POLICY_WRITE, MACHINE_WRITE, INITIATE, ENROLMENT_WRITE)


@dataclass(frozen=True, slots=True)
class ShownMachine:
    """One machine as this visitor may see it."""

    view: MachineView
    sight: Sight
    lacks: frozenset[str]  # actions that this visitor may not do here

    @property
    def machine(self) -> Machine:
        return self.view.machine

    @property
    def path(self) -> str:
        return path_of(self.machine.id)

    @property
    def query(self) -> str:
        """Names it to pages about several machines."""
        return urlencode({"machine": str(self.machine.id)})

    @property
    def sees_rules(self) -> bool:
        return self.sight.sees(self.machine.id)

    @property
    def to_write(self) -> str:
        """The action that changing its rules lacks; empty: they may be changed."""
        return self._first_lacking(POLICY_WRITE, MACHINE_WRITE)

    @property
    def to_ask(self) -> str:
        """The action that asking for access lacks; empty: it may be asked for."""
        return self._first_lacking(*NEEDED_TO_ASK)

    @property
    def to_see(self) -> str:
        return self._first_lacking(POLICY_READ)

    def _first_lacking(self, *actions: str) -> str:
        return next((each for each in actions if each in self.lacks), "")

    @property
    def rules(self) -> Sequence[tuple[ResourceId, PortRule]]:
        """What policies say of it, as far as it may be seen, with the policy that says it."""
        if not self.sees_rules:
            return ()
        return [
            (stored.policy.id, rule)
            for stored in self.view.policies
            if (named := stored.policy.rules_for(self.machine.id)) is not None
            for rule in named.ports
        ]

    @property
    def to_believe(self) -> str:
        """The action that believing its agent again lacks; empty: it may be done."""
        return self._first_lacking(ENROLMENT_WRITE)

    @property
    def claimed(self) -> Sequence[PortKey]:
        """Ports that its agent alone says are closed (EDGES E7)."""
        return sorted(each.port for each in self.view.claimed)

    @property
    def unnamed(self) -> Sequence[PortKey]:
        """Ports that are shut although no policy names them."""
        return sorted({each.port for each in self.view.closed} - self.view.named)


def path_of(wanted: ResourceId) -> str:
    return f"/portal/machines/{quote(wanted.resource_group)}/{quote(wanted.name)}"


def wanted_id(visit: Visit, group: str, name: str) -> ResourceId:
    """The machine that an address names. Raises NotFound for what can be no group."""
    if not is_resource_group_name(group):
        raise NotFound(sentence("{group} is not a resource group's name.", group=repr(group[:100])))
    return machine_id(visit.subscription_id, group, parse_name(name, "The machine's name"))


def read_machine(visit: Visit, reader: Reader, wanted: ResourceId) -> ShownMachine:
    """Raises Forbidden before anything is told of it, NotFound."""
    needed = Needed(MACHINE_READ, resource_scope(wanted))
    check(reader, visit.subject, visit.now, [needed])
    machine = known_machine(reader, wanted)
    scope = resource_scope(machine.id)
    return ShownMachine(
        view_machine(reader, machine, visit.now),
        sight_of(visit.rights, visit.subject.principal_id),
        frozenset(action for action in _ASKED if not visit.may(action, scope)),
    )


def frame(visit: Visit, place: ShownMachine, tab: str) -> dict[str, Any]:
    """What every page of a machine shows around its own content."""
    t = visit.words
    return {
        "place": place,
        "machine": place.machine,
        "tab": tab,
        "tabs_shown": [
            (text_of(t, f"machine.tab.{key}"), place.path + tail, key == tab, None)
            for key, tail in TABS
        ],
        "trail": [
            (t("Virtual machines"), "/portal/machines"),
            (place.machine.id.name, None if tab == "overview" else place.path),
            *([] if tab == "overview" else [(text_of(t, f"machine.tab.{tab}"), None)]),
        ],
        "service_of": service_of,
    }


def service_of(number: int) -> str:
    """What usually listens there; empty when nothing is usual."""
    return SERVICES.get(number, "")


def default_rule(machine: Machine) -> PortRule:
    """What *Enable just-in-time* sets: the system's own port, three hours, any source."""
    port = DEFAULT_PORTS[machine.os_type]
    return PortRule(port, RuleProtocol.TCP, ANYWHERE, DEFAULT_DURATION)
