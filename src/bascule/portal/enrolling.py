"""What several pages share about machines: one is added, its agent enrolled, its ports shut.

Each act asks for the rights of the API's route of the same act, in its own transaction.
A token is in one answer and nowhere else; the page that shows it says until when it works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bascule.api.wire.fleet import install_command, no_proxy
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE
from bascule.domain.ids import ResourceId, is_resource_group_name, machine_id, parse_name
from bascule.domain.machine import EnforcementPoint, Machine, OnExpiry, OsType
from bascule.domain.net import Address, AddressPrefix, RuleProtocol, parse_address
from bascule.domain.policy import DEFAULT_DURATION, PortRule
from bascule.domain.scopes import group_scope, resource_scope
from bascule.errors import BasculeError, Conflict, InvalidInput, NotFound, Problem
from bascule.identity.secrets import new_enrolment_token
from bascule.interfaces.store import Reader, Transaction
from bascule.portal import once
from bascule.portal.guard import Visit
from bascule.protocol.signed import token_public
from bascule.sentences import sentence
from bascule.services import fleet, machines
from bascule.services.act import Act
from bascule.services.machines import MachineDraft
from bascule.services.rights import Needed, check

DEFAULT_PORTS = {OsType.LINUX: 22, OsType.WINDOWS: 3389}  # SSH, RDP
DEFAULT_POLICY = "default"  # where one machine's rules stand unless another policy is named
MOST_ADDRESSES = 32  # of one form
MOST_TAGS, LONGEST_TAG = 50, 512


@dataclass(frozen=True, slots=True)
class MachineForm:
    """A machine as the form has it; what is checked is in ``read``."""

    name: str = ""
    group: str = ""
    os_type: str = OsType.LINUX
    addresses: str = ""  # separated by blanks or commas
    tags: str | None = None  # key=value, one a line; None: nothing is said of them
    etag: str = ""  # of the machine as it was shown; empty: a new one

    def read(self, visit: Visit) -> tuple[ResourceId, MachineDraft]:
        """Raise InvalidInput with all that is wrong."""
        problems: list[Problem] = []
        try:
            parse_name(self.name, "The machine's name", "name")
        except InvalidInput as error:
            problems.append(_problem(error))
        if not is_resource_group_name(self.group):
            problems.append(Problem("InvalidResourceGroup", "Choose a resource group.", "group"))
        if self.os_type not in set(OsType):
            problems.append(Problem("InvalidOsType", "Choose Linux or Windows.", "os"))
        addresses = self._addresses(problems)
        tags = None if self.tags is None else self._tags(self.tags, problems)
        if problems:
            raise InvalidInput.of(problems)
        wanted = machine_id(visit.subscription_id, self.group, self.name)
        return wanted, MachineDraft(os_type=OsType(self.os_type), addresses=addresses, tags=tags)

    def _tags(self, said: str, problems: list[Problem]) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, said.splitlines())):
            name, is_given, value = (part.strip() for part in line.partition("="))
            if not is_given or not name or not name.isprintable() or len(line) > LONGEST_TAG:
                message = sentence(
                    "{text} is not a tag. Write it as env=prod.", text=repr(line[:40])
                )
                problems.append(Problem("InvalidTag", message, "tags"))
            elif name.casefold() in {each.casefold() for each in found}:
                message = sentence("The tag {name} is given twice.", name=repr(name[:40]))
                problems.append(Problem("InvalidTag", message, "tags"))
            else:
                found[name] = value
        if len(found) > MOST_TAGS:
            message = sentence("A machine has at most {most} tags.", most=MOST_TAGS)
            problems.append(Problem("InvalidTag", message, "tags"))
        return found

    def _addresses(self, problems: list[Problem]) -> tuple[Address, ...]:
        found: dict[Address, None] = {}
        texts = self.addresses.replace(",", " ").replace(";", " ").split()
        if len(texts) > MOST_ADDRESSES:
            message = sentence("A machine has at most {most} addresses here.", most=MOST_ADDRESSES)
            problems.append(Problem("InvalidAddress", message, "addresses"))
        for text in texts[:MOST_ADDRESSES]:
            try:
                found[parse_address(text, "addresses")] = None
            except InvalidInput as error:
                problems.append(_problem(error))
        return tuple(found)


def _problem(error: BasculeError) -> Problem:
    return Problem(error.specific_code, error.message, error.target)


async def machine_form(visit: Visit) -> MachineForm:
    """What was filled in."""
    form, groups = visit.form, await groups_to_write(visit)
    group = form.text("group") or (groups[0] if groups else "")
    return MachineForm(
        form.text("name"),
        group,
        form.text("os", OsType.LINUX),
        form.text("addresses"),
        form.text("tags") if form.has("tags") else None,
        form.text("etag"),
    )


def tags_text(tags: Mapping[str, str]) -> str:
    """As the form has them."""
    return "\n".join(f"{name}={value}" for name, value in tags.items())


async def groups_to_write(visit: Visit) -> list[str]:
    """Resource groups in which this person may add machines."""
    groups = await visit.read_few(lambda reader: reader.resource_groups())
    return [
        each
        for each in groups
        if visit.may(MACHINE_WRITE, group_scope(visit.subscription_id, each))
    ]


def id_in_path(visit: Visit, group: str, name: str) -> ResourceId:
    """The machine that a path names; raise NotFound when it cannot be one."""
    try:
        parse_name(name, "The machine's name")
    except InvalidInput:
        raise NotFound("There is no such machine.", code="ResourceNotFound") from None
    if not is_resource_group_name(group):
        raise NotFound("There is no such machine.", code="ResourceNotFound")
    return machine_id(visit.subscription_id, group, name)


def add_machine(
    visit: Visit, tx: Transaction, act: Act, wanted: ResourceId, draft: MachineDraft
) -> Machine:
    """A new one; raise Conflict where there is one of that name: nothing of it is changed."""
    check(tx, visit.subject, act.now, [Needed(MACHINE_WRITE, resource_scope(wanted))])
    if tx.machine(wanted) is not None:
        raise Conflict(
            sentence(
                "A machine {wanted} already exists in {resource_group}.",
                wanted=repr(wanted.name),
                resource_group=wanted.resource_group,
            ),
            code="MachineExists",
            target="name",
            advice="Choose another name, or open that machine in the list.",
        )
    return machines.put_machine(tx, act, wanted, draft, visit.state.installation.location)[0]


@dataclass(frozen=True, slots=True)
class Command:
    """What is run on the host, and the token that it asks for there: shown once."""

    text: str
    bare: str  # on a Debian without Bascule; empty: the server hands out no packages
    token: str
    ends_at: datetime
    is_through: bool  # a proxy that ends TLS

    def __repr__(self) -> str:
        return f"Command(ends_at={self.ends_at})"


def make_command(
    visit: Visit,
    tx: Transaction,
    act: Act,
    wanted: ResourceId,
    *,
    replaces: bool,
    draft: MachineDraft | None = None,
) -> Command:
    """A token for the machine's agent; ``replaces``: over one that is enrolled.

    ``draft``: the machine is added before. A form that is sent again gets the command that it
    made (``portal.once``). Its field ``through``: the agent comes through a proxy that ends TLS (EDGES I1).
    """
    is_through = visit.form.has("through")
    if is_through and not visit.state.proxies:
        raise no_proxy()
    secret, fingerprint = once.secret(visit), visit.state.ca_fingerprint_of(tx)

    trust_key = visit.state.trust_key.public_key

    def token_of(uid: str) -> str:
        return new_enrolment_token(uid, fingerprint, trust_key, secret, is_through=is_through)

    def known_of(uid: str) -> str:
        return token_public(token_of(uid))

    text = install_command(visit.base_url, replaces=replaces)
    packages = visit.state.packages
    bare = "" if packages is None else packages.line(visit.base_url, fingerprint, replaces=replaces)
    machine = tx.machine(wanted)
    made = tx.enrolment_by_hash(fleet.hash_token(known_of(machine.uid))) if machine else None
    if draft is not None and made is None:
        add_machine(visit, tx, act, wanted, draft)
    check(tx, visit.subject, act.now, [Needed(ENROLMENT_WRITE, resource_scope(wanted))])
    if machine is not None and made is not None:
        return Command(text, bare, token_of(machine.uid), made.expires_at, is_through)
    enrolment, _, found = fleet.create_enrolment(
        *(tx, act, wanted, known_of, fleet.MAXIMUM_TOKEN_LIFE),
        replaces=replaces,
        enrolment_id=once.request_id(visit),
    )
    return Command(text, bare, token_of(found.uid), enrolment.expires_at, is_through)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A machine and its agent, at one moment."""

    machine: Machine
    point: EnforcementPoint | None
    generation: int
    closed: tuple[int, ...]  # port numbers that are kept shut
    is_named: bool  # by a policy
    now: datetime

    @property
    def state(self) -> str:
        """missing, neverSeen, online, notEnforced or offline."""
        if self.point is None:
            return "missing"
        if self.point.last_contact_at is None:
            return "neverSeen"
        if not fleet.is_online(self.point, self.now):
            return "offline"
        return "online" if self.point.is_enforcing else "notEnforced"

    @property
    def is_current(self) -> bool:
        """Has the agent read back all that it is to hold?"""
        return self.point is not None and self.point.observed_generation >= self.generation

    @property
    def is_protected(self) -> bool:
        """Shut, as it was read back: nothing less is called protected."""
        return self.state == "online" and self.is_current and self.is_named and bool(self.closed)

    @property
    def path(self) -> str:
        return f"{self.machine.id.resource_group}/{self.machine.id.name}"


def read_guarded(reader: Reader, wanted: ResourceId, now: datetime) -> Guarded:
    """Raise NotFound when there is no such machine."""
    machine = reader.machine(wanted)
    if machine is None:
        raise NotFound(
            sentence(
                "There is no machine {wanted} in {resource_group}.",
                wanted=repr(wanted.name),
                resource_group=wanted.resource_group,
            ),
            code="ResourceNotFound",
            advice="Choose one from the list of machines.",
        )
    closed = sorted({each.port.number for each in reader.closed_ports(machine.uid)})
    return Guarded(
        machine,
        reader.enforcement_point(machine.uid),
        reader.generation(machine.uid),
        tuple(closed),
        bool(reader.policies_naming(machine.id)),
        now,
    )


def default_rule(os_type: OsType) -> PortRule:
    """The system's own port, three hours, any source: what Azure's page enables."""
    anywhere = (AddressPrefix.parse("*"),)
    number = DEFAULT_PORTS[os_type]
    return PortRule(number, RuleProtocol.TCP, anywhere, DEFAULT_DURATION, OnExpiry.KEEP)
