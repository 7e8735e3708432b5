"""What codes of machines, ports and enforcement points are called."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "exposure.tab.open": msgid("Open to somebody"),
    "exposure.tab.bare": msgid("Nothing kept closed"),
    "exposure.tab.all": msgid("All machines"),
    "exposure.about.open": msgid("Ports that let somebody in. They are closed to everybody else."),
    "exposure.about.bare": msgid(
        "Nothing is kept closed on these machines: everything that the host itself lets in can be"
        " reached. Bascule knows no more about them."
    ),
    "exposure.about.all": msgid(
        "Every machine with its ports as they were read back, and its port-hours on the days below."
    ),
    "jit.tab.configured": msgid("Configured"),
    "jit.tab.notConfigured": msgid("Not configured"),
    "jit.tab.unsupported": msgid("Unsupported"),
    "jit.about.configured": msgid(
        "Machines whose ports are kept closed until somebody requests access. Requests are those "
        "of the last week."
    ),
    "jit.about.notConfigured": msgid(
        "Machines with an enforcement point that no policy names yet. Select some and enable "
        "just-in-time access."
    ),
    "jit.about.unsupported": msgid(
        "Machines that cannot be protected as they are, why, and what to do about it."
    ),
    "jit.state.open": msgid("Open"),
    "jit.state.opening": msgid("Opening"),
    "jit.state.closing": msgid("Closing"),
    "jit.state.notConfirmed": msgid("Not confirmed"),
    "jit.state.offline": msgid("Agent away"),
    "jit.state.notEnforced": msgid("Agent enforces nothing"),
    "jit.state.applying": msgid("Applying"),
    "jit.state.openPastUs": msgid("Open past us"),
    "jit.state.cannotBeTold": msgid("Cannot be told"),
    "jit.state.closed": msgid("Closed"),
    "jit.state.nothingClosed": msgid("Nothing closed"),
    "jit.none.configured": msgid("No machine is protected yet"),
    "jit.none_lead.configured": msgid(
        "Choose machines under Not configured and enable just-in-time access there."
    ),
    "jit.none.notConfigured": msgid("Every supported machine is configured"),
    "jit.none_lead.notConfigured": msgid(
        "A machine shows here once its agent is enrolled and no policy names it."
    ),
    "jit.none.unsupported": msgid("Every machine can be protected"),
    "jit.none_lead.unsupported": msgid(
        "Machines without an agent, or whose firewall is emptied by something else, would show "
        "here."
    ),
    "jit.why.NotManaged": msgid(
        "{machine} is only in the inventory: its tag bascule-managed is false."
    ),
    "jit.todo.NotManaged": msgid("Put it under management:"),
    "jit.why.NoEnforcementPoint": msgid(
        "No agent is enrolled on {machine}, so nothing is closed there."
    ),
    "jit.todo.NoEnforcementPoint": msgid("Enrol its agent:"),
    "jit.why.FirewallFlushed": msgid(
        "{service} on {machine} flushes the firewall, including Bascule’s rules. Each time, "
        "every port is open until the agent has restored them."
    ),
    "jit.todo.FirewallFlushed": msgid(
        "Upgrade the host to Linux 6.9 and nftables 1.1, or disable that service on it."
    ),
    "jit.why.FirewallFlushed.at": msgid(
        "{service} on {flushed}, in front of {machine}, flushes the firewall, including Bascule’s rules. "
        "Each time, every port is open there until the agent has restored them."
    ),
    "jit.todo.FirewallFlushed.at": msgid(
        "Upgrade the host to Linux 6.9 and nftables 1.1, or disable that service on it."
    ),
    "jit.why.ManagedElsewhere": msgid(
        "{gateway}, in front of {machine}, is managed by {manager}, as an owner says. Nothing is "
        "configured or opened anew for the machine; closed ports stay closed."
    ),
    "jit.why.ManagedElsewhere.found": msgid(
        "{gateway}, in front of {machine}, is managed by {manager}, as its agent found. Nothing is "
        "configured or opened anew for the machine; closed ports stay closed."
    ),
    "jit.todo.ManagedElsewhere": msgid("If Bascule is to manage it:"),
    "jit.todo.ManagedElsewhere.found": msgid("Correct that on the gateway, or have it only shown:"),
    "jit.why.JitSwitchedOff": msgid(
        "The plan of the subscription switches just-in-time access off. Closed ports stay closed."
    ),
    "jit.todo.JitSwitchedOff": msgid("Switch it on:"),
    "jit.why.JitSwitchedOff.group": msgid(
        "The plan of resource group {group} switches just-in-time access off. Closed ports stay "
        "closed."
    ),
    "jit.todo.JitSwitchedOff.group": msgid("Switch it on:"),
    "jit.end.keep": msgid("continue"),
    "jit.end.kill": msgid("are cut"),
    "machine.tab.overview": msgid("Overview"),
    "machine.tab.configuration": msgid("Configuration"),
    "machine.tab.connect": msgid("Connect"),
    "machine.tab.gateways": msgid("Gateways"),
    "machine.tab.activity": msgid("Activity log"),
    "machine.state.configured": msgid("Configured"),
    "machine.state.notConfigured": msgid("Not configured"),
    "machine.state.unsupported": msgid("Unsupported"),
    # Of gateways in front of it some are silent (EDGES G3).
    "machine.silent.served": msgid("Requests open through the other gateways."),
    "machine.silent.needed": msgid("As long as that lasts, requests fail."),
    "machine.reason.NotManaged": msgid(
        "This machine is only in the inventory; Bascule does not manage it."
    ),
    "machine.reason.NoEnforcementPoint": msgid(
        "No enforcement point protects this machine: no agent has been enrolled."
    ),
    "machine.reason.FirewallFlushed": msgid(
        "Another service flushes the rules of the firewall that guards this machine, and the host of "
        "that firewall cannot protect them."
    ),
    "machine.reason.ManagedElsewhere": msgid(
        "Something other than Bascule manages a gateway in front of this machine."
    ),
    "machine.reason.JitSwitchedOff": msgid(
        "Just-in-time access is switched off for the resource group or the subscription."
    ),
    "machine.todo.NotManaged": msgid("To have it managed: bascule machine add {name} --managed"),
    "machine.todo.NoEnforcementPoint": msgid("Enrol its agent: bascule machine enrol {name}"),
    "machine.todo.FirewallFlushed": msgid(
        "Upgrade the host to Linux 6.9 and nftables 1.1, or disable that service on it."
    ),
    "machine.todo.ManagedElsewhere": msgid(
        "By what says bascule machine show {name}; to change it: bascule machine managed-by."
    ),
    "machine.todo.JitSwitchedOff": msgid(
        "Have it switched on: bascule plan show shows where it is off, bascule plan on switches "
        "it on."
    ),
    "machine.shut.not_enforced": msgid("not enforced"),
    "machine.shut.not_applied": msgid("not applied yet"),
    "machine.shut.last_known": msgid("last known"),
    "machine.shut.open_past_us": msgid("open past us"),
    "machine.shut.open_past_us.at": msgid("open past us at {gateways}"),
    "machine.shut.cannot_be_told": msgid("cannot be told"),
    "machine.shut.cannot_be_told.at": msgid("cannot be told at {gateways}"),
    "machine.knocks.day": msgid("24 hours"),
    "machine.knocks.week": msgid("7 days"),
    "machine.knocks.hour": msgid("Hour beginning"),
    "machine.at_end.keep": msgid("continue"),
    "machine.at_end.kill": msgid("are cut"),
    "machine.justification.yes": msgid("required"),
    "machine.justification.no": msgid("not required"),
    "points.only.silent": msgid("Away, or enforcing nothing"),
    "points.only.behind": msgid("Not up to date"),
    "points.only.old": msgid("Older than the server"),
    "points.only.well": msgid("Connected and up to date"),
    "point.fact.kernel": msgid("Kernel"),
    "point.fact.nftables": msgid("nftables"),
    "point.fact.record seen": msgid("Record seen"),
    "welcome.step.you": msgid("You"),
    "welcome.step.machine": msgid("A machine"),
    "welcome.step.protect": msgid("Protection"),
    "welcome.port.22": msgid("SSH"),
    "welcome.port.3389": msgid("RDP"),
}
