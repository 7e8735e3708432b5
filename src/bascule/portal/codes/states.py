"""What states, events and ways to connect are called, and settings of the frame."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "activity.status.Succeeded": msgid("Succeeded"),
    "activity.status.Accepted": msgid("Accepted"),
    "activity.status.Failed": msgid("Failed"),
    "activity.kind.subscriptions": msgid("Subscription"),
    "activity.kind.resourcegroups": msgid("Resource group"),
    "activity.kind.virtualmachines": msgid("Virtual machine"),
    "activity.kind.jitnetworkaccesspolicies": msgid("JIT policy"),
    "activity.kind.roleassignments": msgid("Role assignment"),
    "activity.kind.roledefinitions": msgid("Role definition"),
    "activity.kind.users": msgid("User"),
    "activity.kind.groups": msgid("Group"),
    "activity.kind.serviceprincipals": msgid("Service principal"),
    "activity.kind.identityproviders": msgid("Identity provider"),
    "activity.kind.recordsinks": msgid("Record sink"),
    "activity.kind.pricings": msgid("Plan"),
    "activity.span.24h": msgid("Last 24 hours"),
    "activity.span.2d": msgid("Last 2 days"),
    "activity.span.7d": msgid("Last 7 days"),
    "activity.span.30d": msgid("Last 30 days"),
    "activity.span.90d": msgid("Last 90 days"),
    "activity.span.all": msgid("Everything"),
    "activity.span.custom": msgid("Custom"),
    "activity.unread": msgid(
        "The hash chain has not been verified since the server started. It is verified a minute "
        "after each start and once a day."
    ),
    "activity.unsealed": msgid("Not in the hash chain yet: it is added within a second"),
    "activity.is_verified": msgid("Verified when the record was last checked,"),
    "activity.is_later": msgid("Added to the hash chain after the record was last checked"),
    "activity.is_broken": msgid("The record is broken here: see the activity log"),
    "ends.ca": msgid("CA of this installation"),
    "ends.server": msgid("Server certificate, which was not renewed"),
    "ends.own": msgid("Server certificate"),
    "ends.clientSecret": msgid("Client secret"),
    "ends.clientCertificate": msgid("Client certificate"),
    "ends.sinkCa": msgid("CA certificate of a sink"),
    "ends.providerCa": msgid("CA certificate of an identity provider"),
    "theme.system": msgid("Same as the system"),
    "theme.light": msgid("Light"),
    "theme.dark": msgid("Dark"),
    "agent.online": msgid("Connected"),
    "agent.offline": msgid("Away"),
    "agent.doubted": msgid("Not trusted"),
    "agent.notEnforced": msgid("Enforces nothing"),
    "agent.neverSeen": msgid("Never contacted"),
    "agent.missing": msgid("No agent"),
    "lacks.ends_leases": msgid(
        "It cannot end an opening by itself, so nothing is opened here: if its agent died, the "
        "port would stay open."
    ),
    "lacks.counts_sessions": msgid(
        "It cannot count connections: whether some continue after an opening is not known."
    ),
    "lacks.ends_sessions": msgid(
        "It cannot end connections: those that an opening let in continue after it, also on ports "
        "that are set to cut them."
    ),
    "lacks.sees_blocked": msgid(
        "It does not see blocked attempts, so none are shown even if there were some."
    ),
    "lacks.sees_changes": msgid("It does not see at once when another program changes its rules."),
    "lacks.drains": msgid(
        "It cannot let connections stay for a time and then end them: nothing is opened here on ports "
        "that are set to drain."
    ),
    "open.close_of": msgid("Close port {port} of {machine}, open for {who}"),
    "open.close_person": msgid("Close all of {name}"),
    "open.close_machine": msgid("Close all at {name}"),
    "open.close_all": msgid("Close all"),
    "ask.host.port": msgid("The host itself does not admit this port."),
    "ask.host.source": msgid("The host itself admits no source."),
    "ask.host.unreadable": msgid("The host opens nothing: its guard file cannot be used."),
    "ask.mine.note": msgid(
        "Your address, as this server sees it, is {address}. Behind a proxy, a VPN or a gateway"
        " the machine may see another one: then enter its range."
    ),
    "ask.mine.seen": msgid(
        "{machine} has just blocked attempts from {address}, which is your address: it is the "
        "one that the machine sees."
    ),
    "ask.mine.unknown": msgid(
        "My IP is not offered: the server does not know your address. Enter an IP range."
    ),
    "ask.mine.proxy": msgid(
        "My IP is not offered: {address}, which the server sees, is the proxy’s. Enter the "
        "address that the machine will see."
    ),
    "ask.mine.loopback": msgid(
        "My IP is not offered: {address}, which the server sees, is a loopback address, and no "
        "machine sees you come from there. Enter an IP range."
    ),
    "ask.mine.link_local": msgid(
        "My IP is not offered: {address}, which the server sees, is a link-local address. Enter"
        " an IP range."
    ),
    "ask.mine.own": msgid(
        "My IP is not offered: {address}, which the server sees, is the server’s own. Enter an "
        "IP range."
    ),
    "ask.point.none": msgid(
        "No agent is enrolled here: a request is accepted, and fails after a minute."
    ),
    "ask.point.doubted": msgid(
        "The agent’s reports are not trusted: until an owner has checked them, a request fails."
    ),
    "ask.point.notEnforced": msgid(
        "The agent is connected and enforces nothing: as long as that lasts, a request fails."
    ),
    "ask.point.silent": msgid(
        "The agent is away: if it does not come back within a minute, the request fails."
    ),
    "request.extend.not.ended": msgid("It has ended: make a new request."),
    "request.extend.not.emergency": msgid("Emergency access is not extended."),
    "request.extend.not.others": msgid("Only the person who made a request can extend it."),
    "request.extend.not.rights": msgid("You may not request access to these machines any more."),
    "request.extend.not.policy": msgid("The policy does not offer these ports any more."),
    "request.extend.not.approved": msgid(
        "It is open for as long as was approved with its extensions. To keep it open longer, request access again."
    ),
    "request.extend.not.longest": msgid(
        "It is already open for as long as the policy and the host allow ({span} from now); it "
        "can be extended a little later."
    ),
    "rule.justificationRequired.on": msgid("A justification is required"),
    "rule.justificationRequired.off": msgid("A justification is no longer required"),
    "grant.opening": msgid("Opening"),
    "grant.open": msgid("Open"),
    "grant.notConfirmed": msgid("Not confirmed"),
    "grant.closing": msgid("Closing"),
    "grant.endedNotConfirmed": msgid("Ended, not confirmed"),
    "grant.closed": msgid("Closed"),
    "grant.failed": msgid("Failed"),
    "grant.refused": msgid("Refused"),
    "grant.waiting": msgid("Waiting for approval"),
    "grant.scheduled": msgid("Scheduled"),
    "grant.denied": msgid("Not approved"),
    "grant.lapsed": msgid("Lapsed"),
    "grant.withdrawn": msgid("Withdrawn"),
    "rule.outcome.allowed": msgid("It would open at once"),
    "rule.outcome.denied": msgid("It would be refused"),
    "rule.outcome.needsApproval": msgid("It would wait for approval"),
    "ticket.answer.yes": msgid("Confirmed by the ticket system"),
    "ticket.answer.no": msgid("Not confirmed by the ticket system"),
    "ticket.answer.unavailable": msgid("The ticket system cannot be asked"),
    "rule.effect.deny": msgid("Deny"),
    "rule.effect.approve": msgid("Ask for approval"),
    "rule.effect.allow": msgid("Allow"),
    "grant.why.UserRequested": msgid("closed early"),
    "grant.why.Expired": msgid("its time was over"),
    "grant.why.NewerRequestInitiated": msgid("a newer request took its place"),
    "grant.failed.why": msgid(
        "The enforcement point did not report it open within a minute, so it was withdrawn. An "
        "agent that had received it and is away may keep the port open until the requested end."
    ),
    "grant.opening.why": msgid("Waiting until the machine has read it back open."),
    "approval.stage.met": msgid("is met"),
    "approval.stage.asked": msgid("is asked now"),
    "approval.stage.later": msgid("is asked when the stages before it are met"),
    "approval.stage.over": msgid("is not asked any more"),
    "approval.not.AlreadyApproved": msgid("You have approved this request."),
    "approval.not.OwnRequest": msgid(
        "You asked for this yourself. Somebody else has to approve it."
    ),
    "approval.not.NotIndependent": msgid(
        "You could act as the person or program that asks, or as somebody who has approved it. "
        "Somebody else has to approve it."
    ),
    "approval.not.SecondFactorTooOld": msgid(
        "To approve it, show your second factor again: the last time is too long ago, or was not in "
        "this browser."
    ),
    "way_in.ssh": msgid("SSH"),
    "way_in.rdp": msgid("Remote Desktop"),
    "way_in.winrm": msgid("PowerShell (WinRM)"),
    "way_in.psql": msgid("PostgreSQL"),
    "way_in.plain": msgid("Address and port"),
    "way_in.file": msgid("RDP file"),
    "way_in.file_of": msgid("Download the RDP file of {machine}"),
    "way_in.when_open": msgid("as soon as it is open"),
    "way_in.not.machine": msgid("The machine is not in the inventory any more."),
    "way_in.not.address": msgid(
        "The machine has no address on record: add one to see how to connect."
    ),
    "way_in.not.family": msgid(
        "None of the machine’s addresses is of the kind that the access is from (IPv4 or IPv6)."
    ),
}
