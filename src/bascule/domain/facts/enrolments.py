"""Enrolment of agents, and which machines their enforcement points guard."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, Flag, MachineId, PointUid, Port, Text
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact(
    "Bascule.Fleet/enrolments/write",
    "Create enrolment token",
    Activity.CREATE,
    severity=Severity.LOW,
    is_call=True,
)
class EnrolmentCreated(Fact):
    machine: MachineId
    enrolment_id: Text
    expires_at: Text
    replaces: Flag


@fact(
    "Bascule.Fleet/enforcementPoints/write",
    "Enrol agent",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    outcome=Outcome.FORBIDDEN,
)
class EnrolmentRefused(Fact):
    machine: MachineId
    why: Text


@fact(
    "Bascule.Fleet/enforcementPoints/write", "Enrol agent", Activity.CREATE, severity=Severity.LOW
)
class AgentEnrolled(Fact):
    machine: MachineId
    uid: Bulk
    key_fingerprint: Text


@fact(
    "Bascule.Fleet/enforcementPoints/manage/action",
    "Set what manages a gateway",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class GatewayManaged(Fact):
    """Machines behind a gateway that something other than Bascule manages are unsupported."""

    machine: MachineId
    machine_uid: Bulk
    by: Text  # its name; Bascule: whatever is found there; empty: what its agent finds decides
    before: Text


@fact(
    "Microsoft.Authorization/enrolments/delete",
    "Remove agent",
    Activity.DELETE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class AgentRemoved(Fact):
    """An enforcement point's key is refused from now on; the ports that it keeps closed stay closed."""

    machine: MachineId
    machine_uid: Bulk


@fact(
    "Bascule.Fleet/enforcementPoints/bind/action",
    "Bind machine to enforcement point",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class MachineBound(Fact):
    """A point guards a machine beside its own agent from now on."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid


@fact(
    "Bascule.Fleet/enforcementPoints/bind/action",
    "Set machine's address behind enforcement point",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class MachinePlaced(Fact):
    """A point forwards to a machine at these addresses from now on."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    addresses: Text


@fact(
    "Bascule.Fleet/enforcementPoints/publicPorts/write",
    "Give machine's port a public port",
    Activity.CREATE,
    severity=Severity.LOW,
)
class PublicPortGiven(Fact):
    """A public port of a gateway stands for a port of a machine behind it from now on."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    port: Port
    public_port: Text


@fact(
    "Bascule.Fleet/enforcementPoints/publicPorts/delete",
    "Release public port",
    Activity.DELETE,
    severity=Severity.LOW,
)
class PublicPortReleased(Fact):
    """It stands for it no longer, and is held back from other machines."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    port: Port
    public_port: Text


@fact(
    "Bascule.Fleet/enforcementPoints/bind/action",
    "Set order of machine's enforcement points",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class PointArranged(Fact):
    """A point stands in parallel to others of a machine from now on, or in series with them."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    is_parallel: Flag


@fact(
    "Bascule.Fleet/enforcementPoints/bind/action",
    "Trust route of machine to gateway",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class RouteTrusted(Fact):
    """An owner says that answers of a machine come back through a gateway, or takes that back."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    is_trusted: Flag


@fact(
    "Bascule.Fleet/enforcementPoints/releaseAddresses/action",
    "Release machine's former address behind enforcement point",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
    is_call=True,
)
class AddressReleased(Fact):
    """A point lets everybody through to an address at which a machine was."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
    address: Text


@fact(
    "Bascule.Fleet/enforcementPoints/unbind/action",
    "Unbind machine from enforcement point",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class MachineUnbound(Fact):
    """A point guards a machine no longer; nothing is released by it."""

    machine: MachineId
    machine_uid: Bulk
    point_uid: PointUid
