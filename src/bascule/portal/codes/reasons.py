"""What a refusal means in general, by its code, where its own sentence has no translation: what
another system said, what was put on record, and what the API alone answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "reason.InvalidProof": msgid(
        "A proof is missing: give your password, a code, or use a passkey."
    ),
    "reason.MachinesRequired": msgid("No machine is named."),
    "reason.MachineNotFound": msgid("This machine is not known here."),
    "reason.MachineNotInPolicy": msgid("The policy does not name this machine."),
    "reason.PortsRequired": msgid("No port is chosen."),
    "reason.PortNotInPolicy": msgid("This port cannot be requested on this machine."),
    "reason.SourceNotAllowed": msgid(
        "The source is not within what the policy allows for this port."
    ),
    "reason.DurationTooLong": msgid("The time is longer than the policy allows for this port."),
    "reason.AgentUninstalled": msgid(
        "Root has uninstalled the agent of this machine: Bascule neither closes nor opens "
        "its ports."
    ),
    "reason.LongerThanHostAdmits": msgid(
        "The time is longer than the host itself admits, whatever the policy says."
    ),
    "reason.PortNotAdmittedByHost": msgid(
        "The host itself does not admit this port, whatever the policy says."
    ),
    "reason.SourceNotAdmittedByHost": msgid(
        "The host itself does not admit this source, whatever the policy says."
    ),
    "reason.HostGuardUnusable": msgid(
        "The guard file of that host cannot be used, so it opens nothing."
    ),
    "reason.ManagedElsewhere": msgid(
        "Something other than Bascule manages the gateway in front of this machine."
    ),
    "reason.CannotDrain": msgid(
        "What guards this machine cannot let connections stay for a time and then end them."
    ),
    "reason.DrainTooLong": msgid(
        "Connections would stay for longer than the host itself admits, whatever the policy says."
    ),
    "reason.OutsideNetworks": msgid(
        "The machine is in no network that the guard file of its gateway names."
    ),
    "reason.NoPublicPortFree": msgid("The gateway has no public port left for it."),
    "reason.PublicPortNotGiven": msgid(
        "The gateway does not give the public port that the policy names."
    ),
    "reason.PublicPortTaken": msgid(
        "The public port that the policy names stands for another port already."
    ),
    "reason.PublicPortHeldBack": msgid(
        "The public port that the policy names stood for another machine’s within the last day."
    ),
    "reason.EndTimePassed": msgid("The end is not in the future."),
    "reason.JustificationRequired": msgid("The policy wants a justification for this port."),
    "reason.JustificationTooLong": msgid("The justification has more than 1,024 characters."),
    "reason.DeniedByRule": msgid("A rule of a policy denies it."),
    "reason.DeniedByApprover": msgid("Somebody who was asked to approve it said no."),
    "reason.ApprovalRequired": msgid("To keep it open longer needs approval."),
    "reason.TooManyWaiting": msgid("Too many of your requests wait for approval or their start."),
    "reason.StartMissed": msgid("The server did not open it within five minutes of its start."),
    "reason.NotApprovedByStart": msgid("It was not approved by its start."),
    "reason.EndPassed": msgid("Its end has passed."),
    "reason.ClockLeapt": msgid("The server’s clock jumped by more than a minute."),
    "reason.Restored": msgid("The record was restored from a backup."),
    "reason.RightEndsBeforeStart": msgid("The right to it ends before the start."),
    "reason.CredentialOver": msgid(
        "The program’s secret or certificate was removed or has expired."
    ),
    "reason.UpToTooLong": msgid("The policy does not allow that much with extensions."),
    "reason.TooManyGrants": msgid("There are too many openings on this machine at the same time."),
    "reason.TooManyOpenings": msgid(
        "These are more sources than one machine takes at the same time."
    ),
    "reason.StateTooLarge": msgid(
        "This machine has more open access than its agent can be told of."
    ),
    "reason.TooManyKnownPorts": msgid(
        "This machine has too many ports that are closed or were released."
    ),
    "reason.SourceRequired": msgid("No source is named, and your own address cannot be meant."),
    "reason.InvalidDuration": msgid("This is not a length of time that can be had here."),
    "reason.JitSwitchedOff": msgid(
        "Just-in-time access is switched off here: nothing can be opened."
    ),
    "reason.GrantNotLive": msgid("Nothing of this request is open any more."),
    "reason.GrantNotFound": msgid("This request has no such port."),
    "reason.GrantChanged": msgid("It was changed in the meantime."),
    "reason.IllegalTransition": msgid("It was changed in the meantime."),
    "reason.EndTimeEarlier": msgid("It is granted until later than that already."),
    "reason.AccessRequestDenied": msgid("The policy does not allow this request."),
    "reason.InvalidPort": msgid("A port number is from 1 to 65535."),
    "reason.PortInLocalRange": msgid(
        "The host takes this port for its own outbound connections; closing it would break them."
    ),
    "reason.PortOfServer": msgid("This is the port on which this server itself listens."),
    "reason.AddressOfServer": msgid(
        "This is an address of this server itself, and a policy names the port on which it listens."
    ),
    "reason.PlanEnforced": msgid("The plan is enforced from above and cannot be set here."),
    "reason.ResourceGroupNotFound": msgid("This resource group does not exist."),
    "reason.ResourceGroupNotEmpty": msgid("The resource group is not empty."),
    "reason.InvalidResourceName": msgid(
        "A name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and begins with a letter or digit."
    ),
    "reason.AuthorizationFailed": msgid("A right is missing for this."),
    "reason.BelowRecordFloor": msgid("Nothing younger than the record’s floor can be deleted."),
    "reason.ClockNotConfirmed": msgid(
        "The server’s clock jumped: no part of the record is deleted until the time is confirmed."
    ),
    "reason.RecordNotTaken": msgid("A sink has not taken these events yet; nothing was deleted."),
    "reason.AuthenticationFailed": msgid("You are not signed in."),
    "reason.InvalidAuthenticationToken": msgid("You are not signed in."),
    "reason.InvalidAssignableScopes": msgid("The assignable scopes are missing or too many."),
    "reason.InvalidScope": msgid("This is not a scope."),
    "reason.LinkedAuthorizationFailed": msgid(
        "A right is missing at another machine that this names."
    ),
    "reason.ProviderNotFound": msgid("There is no such identity provider."),
    "reason.ProviderUnavailable": msgid("The identity provider does not answer as it should."),
    "reason.ExternalSignInRefused": msgid("The sign-in at the identity provider did not succeed."),
    "reason.InvalidCertificate": msgid("This certificate cannot be used."),
    "reason.InvalidUrl": msgid("This is not an https address."),
    "reason.InvalidDate": msgid("This date cannot be used."),
    "reason.NothingToPrune": msgid("Nothing of the record is old enough to be deleted."),
    "reason.InvalidEventKind": msgid("There is no such kind of event."),
    "reason.InvalidPosition": msgid("There is no such place in the record."),
    "reason.InvalidSink": msgid("These settings of a destination cannot be used."),
    "reason.InvalidSinkFormat": msgid("This destination does not take that format."),
    "reason.InvalidSinkLevel": msgid("There is no such level."),
    "reason.InvalidSinkTarget": msgid("The record cannot be sent there."),
    "reason.SinkHasNoSecret": msgid("Only a webhook has a secret."),
    "reason.SinkNotFound": msgid("There is no such destination."),
    "reason.SinkNotParked": msgid("The destination waits for nothing."),
    "reason.TooManySinks": msgid("There may not be more destinations."),
    "reason.MissingField": msgid("A field is missing."),
    "reason.InvalidFilter": msgid("This filter is not one of those that there are."),
    "reason.InvalidSkipToken": msgid("This page of the list does not exist."),
    "reason.InvalidRequestContent": msgid("What was entered cannot be used."),
    "reason.ResourceNotFound": msgid("It does not exist, or no longer exists."),
    "reason.Conflict": msgid("The current state does not allow it."),
    "reason.PreconditionFailed": msgid("It was changed by somebody else in the meantime."),
    "reason.UpgradeRequired": msgid("The program that called is too old for this server."),
    "reason.TooManyRequests": msgid("These were too many attempts in a short time."),
    "reason.ServiceUnavailable": msgid(
        "The database cannot be reached; what is open still ends on time."
    ),
    "reason.EnforcementFailed": msgid("The firewall answered otherwise than it should."),
    "reason.MisdirectedRequest": msgid("This is not a name of this server."),
    "reason.AgentTooOld": msgid("The agent of this machine is too old for this request."),
    "reason.LeasesNotEnded": msgid(
        "The enforcement point cannot end an opening by itself, so nothing is opened there."
    ),
}
