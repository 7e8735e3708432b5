"""What an enforcement point lacks, or what is wrong there: a code with arguments.

Drivers, agents and the server name the code; faces say the sentence that stands here, in the
reader's language. What the code of a newer agent means is not known: it counts as severe, and is
shown by its name (EDGES F2).

A shadow is a weakness that other programs' rules or services cause at one port: a closed port can
be reached past our rules, or what we open is blocked (EDGES G7). Its arguments are ``port`` (the
closed port, as ``22/tcp``; empty: every closed port) and ``rule`` (the rule or listener as written).
A gateway's shadows name the port of a machine behind it as ``22/tcp of 10.1.0.10``, or no port where
they are about all machines behind it. ``seen_behind`` says which of them are about one machine.
What is not here: who finds a weakness, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bascule.domain.net import PortKey
from bascule.sentences import Sentence, sentence

OF = " of "  # between port and address, where a port of a machine behind is named


class Gravity(StrEnum):
    """How bad it is."""

    SEVERE = "severe"  # a promise does not hold there, or nothing opens
    LIMITED = "limited"  # it holds within limits, which the sentence says


class Shadow(StrEnum):
    """What somebody else's rule or service does to a port of ours."""

    ADMITS = "openPastUs"  # whoever it lets in reaches the closed port's service without a grant
    UNREAD = "cannotBeTold"  # what may do so cannot be read
    BLOCKS = "blocked"  # what we open does not arrive


@dataclass(frozen=True, slots=True)
class WeaknessKind:
    """One code, with the English sentence that ``{arguments}`` stand in."""

    code: str
    gravity: Gravity
    text: str
    advice: str = ""  # what to do, where ``text`` does not say it
    shadow: Shadow | None = None
    enforces_nothing: bool = False  # nothing is known to be closed or open there
    is_servers: bool = False  # the server alone finds it: reports that name it are not trusted
    # Of a shadow whose ``port`` is empty: is it about the host's own closed ports, and about those of
    # machines behind it?
    is_own: bool = True
    is_behind: bool = True
    # What manages a gateway's forwarded traffic in our place, where this says so for certain; empty:
    # nothing. Machines behind it are unsupported then, unless an owner says otherwise (EDGES G9).
    manager: str = ""

    def __call__(self, **arguments: object) -> Weakness:
        """A weakness of this kind."""
        return Weakness(self.code, {name: str(value) for name, value in arguments.items()})


@dataclass(frozen=True, slots=True)
class Weakness:
    code: str
    arguments: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> WeaknessKind | None:
        """None for a code that this program does not know."""
        return KINDS.get(self.code)

    @property
    def gravity(self) -> Gravity:
        return self.kind.gravity if self.kind is not None else Gravity.SEVERE

    @property
    def text(self) -> Sentence:
        if self.kind is not None:
            return sentence(self.kind.text, **self.arguments)
        told = ", ".join(f"{name}: {value}" for name, value in sorted(self.arguments.items()))
        return sentence(
            "The agent reports {code}, which this version does not know; it counts as severe. "
            "{told}",
            code=self.code,
            told=told,
        )

    @property
    def advice(self) -> Sentence | None:
        """What to do; None where ``text`` says it."""
        if self.kind is None or not self.kind.advice:
            return None
        return sentence(self.kind.advice, **self.arguments)

    @property
    def rule(self) -> str:
        """The rule or listener that causes it, as written; empty: not one alone."""
        return self.arguments.get("rule", "")

    @property
    def shadow(self) -> Shadow | None:
        return self.kind.shadow if self.kind is not None else None

    @property
    def manager(self) -> str:
        """What manages forwarded traffic there in our place; empty: nothing is known to."""
        return str(sentence(self.kind.manager, **self.arguments)) if self.kind is not None else ""

    @property
    def is_unanswered(self) -> bool:
        """Did whoever was let through to a machine behind get no answer?"""
        return self.is_of(UNANSWERED) or self.is_of(NO_NEIGHBOUR)

    @property
    def _port(self) -> str:
        return self.arguments.get("port", "")

    @property
    def is_of_others(self) -> bool:
        """Is it about machines behind this gateway alone, and not about the gateway itself?"""
        if self.gateway:
            return False
        is_own = self.kind is None or self.kind.is_own
        return OF in self._port or not (self._port or is_own)

    def concerns(self, port: PortKey) -> bool:
        """Is it about this port? One that names none is about every port."""
        return self._port in ("", str(port)) and not self.is_of_others

    def is_of(self, kind: WeaknessKind) -> bool:
        return self.code == kind.code

    @property
    def gateway(self) -> str:
        """The uid of the gateway that told it of a machine behind; empty: the point's own word."""
        return ""


@dataclass(frozen=True, slots=True)
class WeaknessBehind(Weakness):
    """A gateway's, as a machine behind it has it: its port is the machine's. No report carries it."""

    at: str = ""  # the gateway's uid

    @property
    def gateway(self) -> str:
        return self.at


NOT_ENFORCED = WeaknessKind(
    "FirewallUnmanaged",
    Gravity.SEVERE,
    "The agent cannot manage the firewall, so no port there is known to be closed or open. Check "
    "with bascule agent status on that machine. ({problem})",
    enforces_nothing=True,
)
GATEWAY_S_OWN_ADDRESS = WeaknessKind(
    "GatewaysOwnAddress",
    Gravity.SEVERE,
    "{address} is this gateway’s own address, and a machine behind it is said to be there: nothing is "
    "closed or opened for that machine here. Correct its address (bascule machine behind).",
)
UNINSTALLED = WeaknessKind(
    "AgentUninstalled",
    Gravity.SEVERE,
    "Root has uninstalled the agent, so nothing keeps this machine’s ports closed. Enrol it again, "
    "or delete the machine.",
    enforces_nothing=True,
)
DOUBTED = WeaknessKind(
    "AgentDoubted",
    Gravity.SEVERE,
    "The agent was ahead of this server twice within an hour, or reported thousands of changes in "
    "an hour, as somebody with its stolen key could. Its reports are not trusted until an owner "
    "has checked (bascule machine believe). If the key may be stolen, enrol the agent again "
    "(bascule machine enrol --replace).",
    is_servers=True,
)
SERVER_PORT_CLOSED = WeaknessKind(
    "ServerPortClosed",
    Gravity.SEVERE,
    "Port {ports}, on which a server of this installation listens, is closed on that server’s own "
    "host, so nobody reaches it from elsewhere. Remove the port from the policies for that host "
    "(bascule policy remove), or have the server listen elsewhere (serve --listen).",
    is_servers=True,
)
AGENT_TOO_OLD = WeaknessKind(
    "AgentTooOld",
    Gravity.SEVERE,
    "The agent is too old for {ports}, which its policies close: nothing is opened there. Upgrade it "
    "to version {version} or later.",
    is_servers=True,
)
PROTOCOL_TOO_OLD = WeaknessKind(
    "AgentProtocolTooOld",
    Gravity.SEVERE,
    "The agent is too old for this server. It keeps ports closed and ends access on time, but the "
    "server cannot read its reports and opens nothing new on this host. Upgrade it to version "
    "{version} or later.",
    is_servers=True,
)
GUARD_UNUSABLE = WeaknessKind(
    "GuardUnusable",
    Gravity.SEVERE,
    "The guard file of this host cannot be used, so nothing is opened there until root corrects it "
    "and restarts the agent. ({problem})",
)
GUARD_REFUSES_PORT = WeaknessKind(
    "GuardRefusesPort",
    Gravity.LIMITED,
    "The guard file of this host does not admit a port that its server wants to open.",
)
GUARD_REFUSES_SOURCE = WeaknessKind(
    "GuardRefusesSource",
    Gravity.LIMITED,
    "The guard file of this host does not admit a source that its server wants to let in.",
)
OUTSIDE_NETWORKS = WeaknessKind(
    "OutsideNetworks",
    Gravity.SEVERE,
    "The guard file of this machine’s gateway names no network with {addresses}, so nothing is opened "
    "for the machine there.",
    is_servers=True,
)
GUARD_REFUSES_NETWORK = WeaknessKind(
    "GuardRefusesNetwork",
    Gravity.LIMITED,
    "The guard file of this gateway names no network with a machine that its server wants to open.",
)
GUARD_REFUSES_PUBLIC_PORT = WeaknessKind(
    "GuardRefusesPublicPort",
    Gravity.LIMITED,
    "The guard file of this gateway does not give a public port that its server wants to stand for a "
    "machine’s port.",
)
PUBLIC_PORT_TAKEN = WeaknessKind(
    "PublicPortTaken",
    Gravity.LIMITED,
    "A public port that is to stand for a machine’s port is taken: this gateway listens on it, closes "
    "it for itself, another program’s rule leads it on, or it stands for another port.",
)
RECORD_CHANGED = WeaknessKind(
    "RecordChanged",
    Gravity.SEVERE,
    "The server’s record differs from the one that this agent has seen: {difference}. The evidence "
    "is in {file} in the agent’s state directory; check it with bascule audit verify --witness. "
    "When the reason is known, remove the file and restart the agent.",
)
SERVER_RETIRED = WeaknessKind(
    "ServerRetired",
    Gravity.SEVERE,
    "This server has installation number {told}, but this agent has already obeyed one with {known}: "
    "the record was moved to another database, and this server is on the old one. The agent ignores it; "
    "open access ends on time, and closed ports stay closed. Stop that server. If it is the right one, "
    "run bascule agent accept-server on this host as root.",
)
PORT_IN_OWN_RANGE = WeaknessKind(
    "PortInLocalRange",
    Gravity.LIMITED,
    "Port {port} is closed and lies in this host’s range for its own connections, {low} to {high} "
    "(net.ipv4.ip_local_port_range), so some of them will fail. Change the range, or release the "
    "port.",
)
TABLE_UNOWNED = WeaknessKind(
    "TableUnowned",
    Gravity.LIMITED,
    "The firewall table cannot be owned here, which takes Linux 6.9 and nftables 1.1 (found: Linux "
    "{kernel}, nftables {nftables}): another program’s nft flush ruleset opens every port until "
    "the agent has restored the table.",
)
OWNER_UNKEPT = WeaknessKind(
    "TableOwnerNotKept",
    Gravity.LIMITED,
    "No service manager keeps the socket that owns the firewall table: while no agent runs, another "
    "program’s nft flush ruleset opens the ports. Run the agent as a service: bascule agent install.",
)
SOCKETS_KEPT = WeaknessKind(
    "SocketsNotDestroyed",
    Gravity.LIMITED,
    "This kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY): a connection that was cut "
    "remains on the host until its own timeout.",
)
CONNECTIONS_UNLISTED = WeaknessKind(
    "ConnectionsNotListed",
    Gravity.LIMITED,
    "Tracked connections cannot be listed (module nf_conntrack_netlink): connections through "
    "published container ports are cut when their port is first closed.",
)
PUBLISHED_UNREAD = WeaknessKind(
    "PublishedPortsNotRead",
    Gravity.LIMITED,
    "Some rules that publish container ports cannot be read ({unread}): somebody who routes "
    "packets directly to a container may reach it although the published port is closed.",
    "Write these rules in a form that Bascule reads (see docs/edges.md, E3), or close the route to "
    "the container.",
    shadow=Shadow.UNREAD,
    is_behind=False,
)
RULES_UNREAD = WeaknessKind(
    "OtherRulesNotRead",
    Gravity.LIMITED,
    "Other programs’ firewall rules cannot be read ({unread}), so it cannot be told whether they "
    "let closed ports be reached.",
    "Run bascule doctor as root on that machine. It names what prevents the reading.",
    shadow=Shadow.UNREAD,
)
FORWARDED_PAST = WeaknessKind(
    "ForwardedPast",
    Gravity.SEVERE,
    "Port {other} is forwarded to {target}, where closed port {port} leads as well: whoever reaches "
    "{other} needs no grant. ({rule})",
    "Add {other} to the policies of this machine, or remove that forwarding.",
    shadow=Shadow.ADMITS,
)
SECOND_PORT = WeaknessKind(
    "SecondPort",
    Gravity.SEVERE,
    "{program} serves closed port {port} on port {other} as well: whoever reaches {other} needs no "
    "grant. ({rule})",
    "Add {other} to the policies of this machine, or have {program} listen on {port} alone.",
    shadow=Shadow.ADMITS,
)
PROXIED_PAST = WeaknessKind(
    "ProxiedPast",
    Gravity.SEVERE,
    "{program} listens on port {other} and passes connections on to closed port {port} within the "
    "host: whoever reaches {other} needs no grant. ({rule})",
    "Add {other} to the policies of this machine, or stop {program} from passing connections on.",
    shadow=Shadow.ADMITS,
)
REWRITTEN_PAST = WeaknessKind(
    "RewrittenPast",
    Gravity.SEVERE,
    "A rule in {where} changes packets where Bascule cannot see it, so that closed ports may be "
    "reached without a grant. ({rule})",
    "Remove that rule.",
    shadow=Shadow.ADMITS,
)
PROXIED_BEHIND = WeaknessKind(
    "ProxiedBehind",
    Gravity.SEVERE,
    "{program} on this gateway listens on port {other} and passes connections on to closed port "
    "{port}: whoever reaches {other} needs no grant. ({rule})",
    "On the gateway, stop {program} from passing connections on, or add {other} to the policies of the "
    "gateway.",
    shadow=Shadow.ADMITS,
)
REWRITTEN_BEHIND = WeaknessKind(
    "RewrittenBehind",
    Gravity.SEVERE,
    "A rule in {where} of this gateway changes forwarded packets, or sends them on, where Bascule cannot "
    "see it, so that closed ports of machines behind it may be reached without a grant. ({rule})",
    "Remove that rule on the gateway.",
    shadow=Shadow.ADMITS,
    is_own=False,
)
MORE_FOUND = WeaknessKind(
    "MoreFound",
    Gravity.LIMITED,
    "{number} more findings are not listed, since of each kind {most} are ({codes}). So it cannot be "
    "told which other closed ports are reached.",
    "Correct the findings that are listed. Then the others are listed.",
    shadow=Shadow.UNREAD,
)
MORE_BLOCKED = WeaknessKind(
    "MoreBlocked",
    Gravity.LIMITED,
    "{number} more findings are not listed, since of each kind {most} are ({codes}). So access that "
    "Bascule opens may not arrive at other ports either.",
    "Correct the findings that are listed. Then the others are listed.",
    shadow=Shadow.BLOCKS,
)
BLOCKED_ELSEWHERE = WeaknessKind(
    "BlockedElsewhere",
    Gravity.SEVERE,
    "{where} drops every connection to port {port}, so access that Bascule opens there does not "
    "arrive. ({rule})",
    "Admit port {port} there, for instance by: {how}. Bascule keeps it closed to everybody without "
    "a grant.",
    shadow=Shadow.BLOCKS,
)
RETURNS_ELSEWHERE = WeaknessKind(
    "ReturnsElsewhere",
    Gravity.SEVERE,
    "{address} answers this gateway as a neighbour, and not at {source}: its answers do not come back "
    "through the gateway. So access to {port} that Bascule opens there does not work.",
    "On {address}, have the default route, or one to the network of {source}, lead to this gateway.",
    shadow=Shadow.BLOCKS,
)
ROUTE_ELSEWHERE = WeaknessKind(
    "RouteElsewhere",
    Gravity.SEVERE,
    "The default route of this machine ({route}) does not lead to gateway {gateway}: answers to whoever "
    "comes through that gateway do not go back through it. So access by a public port does not work, "
    "and other access only where the answers arrive by another way.",
    "Compare {gateway} with ip addr on that gateway first. Then on this machine: ip route replace default "
    "via {gateway}; set the same in its network configuration. If {route} leads back to the gateway, an "
    "owner can say so: bascule machine behind GATEWAY MACHINE --trust-route.",
    shadow=Shadow.BLOCKS,
    is_behind=False,
)
ANSWERS_ELSEWHERE = WeaknessKind(
    "AnswersElsewhere",
    Gravity.LIMITED,
    "This machine answers {source}, who is let in now, by {route} and not through gateway {gateway}. So "
    "access by a public port does not work, and other access only where the answers arrive by another "
    "way.",
    "Compare {gateway} with ip addr on that gateway first. Then, on this machine, route {source} through "
    "{gateway}, now and in its network configuration.",
    shadow=Shadow.BLOCKS,
    is_behind=False,
)
ANSWERS_BY_ANOTHER = WeaknessKind(
    "AnswersByAnotherGateway",
    Gravity.LIMITED,
    "Answers of this machine over IPv{version} leave by {route} and not through gateway {gateway}, so "
    "its public ports for IPv{version} do not work. Whoever asks is told those of another gateway.",
    "Nothing is to be done while the other gateway works. If {gateway} is to take over, have the route "
    "lead to it then.",
    is_behind=False,
)
NO_ROUTE = WeaknessKind(
    "NoRoute",
    Gravity.LIMITED,
    "This machine has no route to {source}, who is let in now, so it cannot answer.",
    "On this machine, add a route to {source} through its gateway, now and in its network configuration.",
    shadow=Shadow.BLOCKS,
    is_behind=False,
)
UNANSWERED = WeaknessKind(
    "Unanswered",
    Gravity.LIMITED,
    "Connections to {port} that Bascule let through this gateway got no answer through it: the default "
    "route of {address} leads elsewhere, or its own firewall drops them.",
    "On {address}, set the default route and admit {port}; bascule doctor on this gateway tells which.",
    shadow=Shadow.BLOCKS,
)
NO_NEIGHBOUR = WeaknessKind(
    "NoNeighbour",
    Gravity.LIMITED,
    "{address} does not answer this gateway on their link: the machine is off, or has another address. "
    "So access to {port} that Bascule opens there does not work.",
    "Start the machine. If it has another address now, say so: bascule machine behind GATEWAY MACHINE "
    "--address ADDRESS.",
    shadow=Shadow.BLOCKS,
)
SOURCE_BLOCKED = WeaknessKind(
    "SourceBlocked",
    Gravity.LIMITED,
    "{where} drops connections to port {port} from {source}, to which Bascule has opened it. ({rule})",
    "Take {source} off that rule, or let whoever asked know why it stands there.",
    shadow=Shadow.BLOCKS,
)

FLOWS_OFFLOADED = WeaknessKind(
    "FlowsOffloaded",
    Gravity.SEVERE,
    "Another program’s flow table ({tables}) carries forwarded connections past Bascule’s rules, so "
    "connections through this gateway may go on after their grant. Remove the flow table, or exclude "
    "from it the machines behind this gateway.",
    manager="flow table {tables}",
)
FLOW_TABLES_UNREAD = WeaknessKind(
    "FlowTablesNotRead",
    Gravity.LIMITED,
    "Whether another program’s flow table carries forwarded connections past Bascule’s rules cannot be "
    "read ({problem}).",
)
BRIDGED = WeaknessKind(
    "Bridged",
    Gravity.SEVERE,
    "Bridge {rule} of this gateway leads both to closed port {port} and to the rest of the world: "
    "packets that are bridged between them pass no rule of Bascule, and need no grant.",
    "Route between them instead, or have bridged packets judged: modprobe br_netfilter, then sysctl "
    "net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1.",
    shadow=Shadow.ADMITS,
    manager="bridge {rule}",
)

KINDS: Mapping[str, WeaknessKind] = {
    each.code: each for each in tuple(globals().values()) if isinstance(each, WeaknessKind)
}
