"""The way out of a refusal, by its code; an error whose code has none says it all itself."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "way.MomentToCome": msgid("Exposure can be shown for now and for the past."),
    "way.InvalidStart": msgid("Correct the start, or leave both fields empty to open now."),
    "way.UpToTooShort": msgid("Choose a shorter time, or more with extensions."),
    "way.InvalidDateTime": msgid("Choose a day and a time in the field."),
    "way.AddressChanged": msgid("Check the new address, then send the form again."),
    "way.OfferChanged": msgid("Check what is offered now, then request again."),
    "way.NotAsShown": msgid("Check the changes below, then confirm again."),
    "way.AlreadyBehind": msgid("To change its addresses or its order there: Gateways, Edit."),
    "way.AddressNotProved": msgid("Choose My IP, or enter the address as an IP range."),
    "way.MachinesRequired": msgid("Choose machines on the page Just-in-time VM access."),
    "way.TooManyMachines": msgid("Request fewer machines at once."),
    "way.MachineNotFound": msgid(
        "It may have been removed: look for it under Just-in-time VM access."
    ),
    "way.MachineNotInPolicy": msgid(
        "First, somebody with the right to change policies must configure just-in-time access for it."
    ),
    "way.PortsRequired": msgid("Switch on at least one port."),
    "way.PortNotInPolicy": msgid(
        "Choose one of the ports that are shown, or have the configuration changed."
    ),
    "way.SourceNotAllowed": msgid(
        "Enter a source within the allowed ranges, or come from one of them."
    ),
    "way.DurationTooLong": msgid("Choose a shorter time; it can be extended later."),
    "way.AgentUninstalled": msgid(
        "Somebody with the right to enrol agents must enrol one there again."
    ),
    "way.AgentTooOld": msgid("As root on that host, upgrade the agent."),
    "way.LongerThanHostAdmits": msgid("Choose a shorter time; it can be extended later."),
    "way.PortNotAdmittedByHost": msgid(
        "To allow it, change the guard file as root on that host and restart the agent."
    ),
    "way.SourceNotAdmittedByHost": msgid(
        "Enter a source that the host admits. The machine’s page lists them."
    ),
    "way.HostGuardUnusable": msgid(
        "As root on that host, repair the guard file and restart the agent."
    ),
    "way.ReleaseNotAdmittedByHost": msgid(
        "To allow it, set release = true in the guard file as root on that host and restart the agent."
    ),
    "way.ManagedElsewhere": msgid(
        "Ask the machine’s owner. They see on the machine’s page by what, and can change it."
    ),
    "way.OutsideNetworks": msgid(
        "As root on the gateway, name the network in the guard file and restart the agent."
    ),
    "way.NoPublicPortFree": msgid(
        "As root on the gateway, widen public_ports in the guard file and restart the agent."
    ),
    "way.PublicPortNotGiven": msgid("Name another public port in the policy, or none."),
    "way.PublicPortTaken": msgid("Name another public port in the policy, or none."),
    "way.PublicPortHeldBack": msgid("Name another public port in the policy, or none."),
    "way.EndTimePassed": msgid("Choose a later end."),
    "way.JustificationRequired": msgid("Write why the access is needed."),
    "way.JustificationTooLong": msgid("Shorten it."),
    "way.ApprovalRequired": msgid("Request access again; what is open stays until its end."),
    "way.TooManyWaiting": msgid("Withdraw one of them first, or wait until one is decided."),
    "way.TooManyGrants": msgid("Close some of them first, under Open now."),
    "way.TooManyOpenings": msgid("Name fewer sources, or a range that contains them."),
    "way.StateTooLarge": msgid(
        "Name fewer sources, or a range that contains them, or ask again later."
    ),
    "way.TooManyKnownPorts": msgid(
        "Name fewer ports. A new enrolment of its agent forgets what was released."
    ),
    "way.TooManyPorts": msgid("Request fewer ports at once."),
    "way.TooManySources": msgid("Name a range that contains them."),
    "way.SourceRequired": msgid(
        "As the IP range, enter the address from which the machine will see you."
    ),
    "way.InvalidAddress": msgid("Write it as 192.0.2.7 or 2001:db8::7, without a zone."),
    "way.InvalidAddressPrefix": msgid(
        "Write it as 192.0.2.0/24 or 2001:db8::/64, beginning with its first address."
    ),
    "way.InvalidDuration": msgid("Write hours and minutes as 2:30, or with a unit: 3 h, 45 min."),
    "way.JitSwitchedOff": msgid(
        "An owner of the subscription or the resource group can switch it on again."
    ),
    "way.GrantNotLive": msgid("Make a new request."),
    "way.GrantChanged": msgid("Reload the page and decide again."),
    "way.IllegalTransition": msgid("Reload the page and decide again."),
    "way.EndTimeEarlier": msgid("Choose a longer time; to end it early, close it."),
    "way.DuplicateMachine": msgid("List the machine once, with all its ports."),
    "way.DuplicatePort": msgid("List the port once, with all its sources."),
    "way.InvalidMachineLocation": msgid("Put it into a policy of its own location."),
    "way.PortInLocalRange": msgid(
        "Let sessions continue at the end (TCP), choose another port, or change the host’s range."
    ),
    "way.PortOfServer": msgid(
        "Choose another port: closing this one would cut off all agents and users."
    ),
    "way.AddressOfServer": msgid(
        "Take the port out of the policy first: closing it would cut off all agents and users."
    ),
    "way.PortInPolicy": msgid("Take it out of the policy first."),
    "way.InvalidResourceId": msgid("The link is cut off or wrong: choose the machine on its page."),
    "way.AgentEnrolled": msgid(
        "Put a new agent in its place on the machine’s page under Enforcement points."
    ),
    "way.GuardedByServer": msgid(
        "Start the server without --this-host, then remove that enforcement point."
    ),
    "way.AlreadySetUp": msgid("Sign in."),
    "way.AuthorizationFailed": msgid("Ask an owner for a role that gives it."),
    "way.FormUnsent": msgid("Check the form and send it again."),
    "way.BelowRecordFloor": msgid(
        "The floor is set on the server’s host: bascule serve --record-floor."
    ),
    "way.ClockNotConfirmed": msgid("On the server’s host: bascule admin confirm-clock."),
    "way.RecordNotTaken": msgid("See what each sink has taken: bascule audit sinks list."),
    "way.PortNotClaimed": msgid("See the machine’s page for the ports that its agent claims."),
    "way.FormRefused": msgid("Reload the page and send the form again."),
    "way.LastOwner": msgid("Make another user an owner first."),
    "way.AmbiguousPrincipal": msgid("Give the id."),
    "way.RoleNotPlain": msgid("Change it by the API, or with az role definition update."),
    "way.MembershipFromProvider": msgid("Change it at the provider."),
    "way.TooManyCredentials": msgid("Remove one that is no longer used."),
    "way.RoleAssignmentUpdateNotPermitted": msgid("Remove it and add another."),
    "way.RoleDefinitionHasAssignments": msgid("Remove its assignments first."),
    "way.ProviderUnavailable": msgid("Try again, or look at its settings."),
    "way.WrongCode": msgid("Take the code that the app shows now."),
    "way.NoEnrolment": msgid("Begin again."),
    "way.InvalidTicket": msgid("Begin again."),
    "way.InvalidSkipToken": msgid("Begin at its start."),
    "way.PreconditionFailed": msgid("Reload the page and enter your changes again."),
    "way.TooManyRequests": msgid("Wait a little and try again."),
    "way.ServiceUnavailable": msgid("Try again in a moment."),
}
