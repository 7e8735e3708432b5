"""What a refusal says in other languages, by its code."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "reason.PasswordsDiffer": msgid("The two new passwords differ."),
    "reason.ProofRefused": msgid("The proof is not right; nothing was changed."),
    "reason.InvalidProof": msgid(
        "A proof is missing: give your password, a code, or use a passkey."
    ),
    "reason.WrongCode": msgid("The code is wrong."),
    "reason.NoEnrolment": msgid("No app waits for its first code any more; begin anew."),
    "reason.InvalidTicket": msgid("This enrolment was used already, or took too long; begin anew."),
    "reason.PasskeyExists": msgid("This passkey is enrolled already."),
    "reason.TooManyPasskeys": msgid(
        "You have as many passkeys as there may be; remove one that you do not use."
    ),
    "reason.PasskeyNotFound": msgid("You have no such passkey."),
    "reason.SignInNotFound": msgid("This sign-in has ended already."),
    "reason.MomentToCome": msgid("This moment is still to come."),
    "reason.InvalidTimeSpan": msgid("This span of time cannot be added up."),
    "reason.AddressChanged": msgid("Your address is no longer the one that this form showed."),
    "reason.OfferChanged": msgid("The port or its time is no longer what the form showed."),
    "reason.NotAsShown": msgid(
        "What this opens or ends is no longer what was shown; nothing was done."
    ),
    "reason.AddressNotProved": msgid("This session has not come from that address lately."),
    "reason.MachinesRequired": msgid("No machine is named."),
    "reason.TooManyMachines": msgid("These are more machines than one form takes."),
    "reason.MachineNotFound": msgid("This machine is not known here."),
    "reason.MachineNotInPolicy": msgid("The policy does not name this machine."),
    "reason.PortsRequired": msgid("No port is chosen."),
    "reason.PortNotInPolicy": msgid("This port cannot be requested on this machine."),
    "reason.SourceNotAllowed": msgid(
        "The source is not within what the policy allows for this port."
    ),
    "reason.DurationTooLong": msgid("The time is longer than the policy allows for this port."),
    "reason.AgentUninstalled": msgid(
        "Root has uninstalled the agent of this machine: nothing of ours shuts its ports or "
        "opens them."
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
    "reason.ReleaseNotAdmittedByHost": msgid(
        "The host itself keeps this port shut: its guard file admits no release."
    ),
    "reason.EndTimePassed": msgid("The end is not in the future."),
    "reason.JustificationRequired": msgid("The policy wants a justification for this port."),
    "reason.JustificationTooLong": msgid("The justification has more than 1,024 characters."),
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
    "reason.TooManyPorts": msgid("These are more ports than one request takes."),
    "reason.TooManySources": msgid("These are more sources than one port takes."),
    "reason.SourceRequired": msgid("No source is named, and your own address cannot be meant."),
    "reason.InvalidAddress": msgid("This is not an IP address."),
    "reason.InvalidAddressPrefix": msgid("This is not a range of IP addresses."),
    "reason.InvalidDuration": msgid("This is not a length of time that can be had here."),
    "reason.InvalidDateTime": msgid("This is not a date and time with its zone."),
    "reason.JitSwitchedOff": msgid(
        "Just-in-time access is switched off here: nothing can be opened."
    ),
    "reason.GrantNotLive": msgid("Nothing of this request is open any more."),
    "reason.GrantNotFound": msgid("This request has no such port."),
    "reason.GrantChanged": msgid("It was changed in the meantime."),
    "reason.IllegalTransition": msgid("It was changed in the meantime."),
    "reason.EndTimeEarlier": msgid("It is granted until later than that already."),
    "reason.NoAddressInFamily": msgid(
        "The machine has no address of the kind that the access is from (IPv4 or IPv6)."
    ),
    "reason.AccessRequestDenied": msgid("The policy does not allow this request."),
    "reason.DuplicateMachine": msgid("A machine stands twice in this policy."),
    "reason.DuplicatePort": msgid("A port stands twice for this machine."),
    "reason.InvalidPort": msgid("A port number is from 1 to 65535."),
    "reason.InvalidMachineLocation": msgid("The machine is in another location than the policy."),
    "reason.PortInLocalRange": msgid(
        "The host takes this port for its own outbound connections; closing it would break them."
    ),
    "reason.PortOfServer": msgid("This is the port on which this server itself listens."),
    "reason.AddressOfServer": msgid(
        "This is an address of this server itself, and a policy names the port on which it listens."
    ),
    "reason.PortInPolicy": msgid("A policy names this port."),
    "reason.PlanEnforced": msgid("The plan is enforced from above and cannot be set here."),
    "reason.ResourceGroupNotFound": msgid("This resource group does not exist."),
    "reason.ResourceGroupNotEmpty": msgid("The resource group is not empty."),
    "reason.InvalidResourceId": msgid("This is not the id of a resource."),
    "reason.InvalidResourceName": msgid(
        "A name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and begins with a letter or digit."
    ),
    "reason.AgentUnknown": msgid("The machine of this agent is not known any more."),
    "reason.GenerationTooFarAhead": msgid("What the agent says of its state is not believed."),
    "reason.InvalidResourceGroup": msgid("Choose a resource group."),
    "reason.InvalidSource": msgid("Give at least one address or range."),
    "reason.JitEnabledAlready": msgid("Just-in-time access is on already; nothing was changed."),
    "reason.InvalidOsType": msgid("Choose Linux or Windows."),
    "reason.AgentEnrolled": msgid(
        "This machine has an enrolled agent: a new agent would be refused."
    ),
    "reason.GuardedByServer": msgid(
        "The server guards this machine itself: no agent can enrol for it."
    ),
    "reason.MachineExists": msgid("There is a machine of this name already."),
    "reason.AlreadySetUp": msgid("This installation has an owner already."),
    "reason.AuthorizationFailed": msgid("A right is missing for this."),
    "reason.FormUnsent": msgid("Your session had ended, so nothing was done."),
    "reason.BelowRecordFloor": msgid("Nothing younger than the record’s floor can be deleted."),
    "reason.ClockNotConfirmed": msgid(
        "The server’s clock leapt; nothing of the record is deleted until it is confirmed."
    ),
    "reason.RecordNotTaken": msgid("A sink has not taken these events yet; nothing was deleted."),
    "reason.PortNotClaimed": msgid("This is no port that the agent claims to keep closed."),
    "reason.FormRefused": msgid(
        "This form does not come from a page of your session; nothing was changed."
    ),
    "reason.AuthenticationFailed": msgid("You are not signed in."),
    "reason.InvalidAuthenticationToken": msgid("You are not signed in."),
    "reason.LastOwner": msgid("Nobody would be left who is an owner and can sign in."),
    "reason.AmbiguousPrincipal": msgid("More than one is called that."),
    "reason.ProviderExists": msgid("There is an identity provider of this name already."),
    "reason.RoleNotPlain": msgid("This role holds more than this form can keep."),
    "reason.UnknownAction": msgid("Nothing here asks for that action."),
    "reason.UserNotFound": msgid("There is no such user."),
    "reason.UserNameTaken": msgid("There is a user of this name already."),
    "reason.InvalidUserName": msgid("This cannot be a user’s name."),
    "reason.InvalidName": msgid(
        "A name is one line that can be read as it is, without blanks at its ends."
    ),
    "reason.InvalidPassword": msgid("The password does not meet the rules."),
    "reason.PrincipalNotFound": msgid("There is no such user, group or service principal."),
    "reason.UnmatchedPrincipalType": msgid("The principal is of another kind."),
    "reason.GroupNotFound": msgid("There is no such group."),
    "reason.GroupNameTaken": msgid("There is a group of this name already."),
    "reason.GroupsNotNested": msgid("A group cannot be a member of a group."),
    "reason.MembershipFromProvider": msgid("The identity provider says who is in this group."),
    "reason.ServicePrincipalNotFound": msgid("There is no such service principal."),
    "reason.NameReserved": msgid("This name is reserved."),
    "reason.TooManyCredentials": msgid("It can have no more credentials."),
    "reason.InvalidExpiry": msgid(
        "The end of a credential lies in the future and not too far away."
    ),
    "reason.RoleAssignmentExists": msgid("This role is assigned like that already."),
    "reason.RoleAssignmentNotFound": msgid("There is no such role assignment (any more)."),
    "reason.RoleAssignmentUpdateNotPermitted": msgid("A role assignment cannot be changed."),
    "reason.RoleDefinitionDoesNotExist": msgid("There is no such role."),
    "reason.RoleDefinitionHasAssignments": msgid("The role is assigned; it cannot be deleted."),
    "reason.RoleDefinitionIsBuiltIn": msgid("A built-in role cannot be changed or deleted."),
    "reason.RoleDefinitionNotAssignable": msgid("The role cannot be assigned at this scope."),
    "reason.RoleDefinitionWithSameNameExists": msgid("Another role has this name already."),
    "reason.InvalidRoleName": msgid("This cannot be a role’s name."),
    "reason.InvalidRoleDescription": msgid("The description is too long."),
    "reason.InvalidActionOrNotAction": msgid("This is not an action."),
    "reason.InvalidAssignableScopes": msgid("The assignable scopes are missing or too many."),
    "reason.MissingActions": msgid("A role without an action allows nothing."),
    "reason.TooManyActions": msgid("The role has too many actions."),
    "reason.InvalidScope": msgid("This is not a scope."),
    "reason.ScopeNotFound": msgid("There is no such machine or policy."),
    "reason.LinkedAuthorizationFailed": msgid(
        "A right is missing at another machine that this names."
    ),
    "reason.IdentityTaken": msgid("This external identity belongs to somebody already."),
    "reason.InvitationTaken": msgid("Somebody is invited by this address already."),
    "reason.InvalidEmail": msgid("This is not an e-mail address that may be used here."),
    "reason.InvalidSubject": msgid("This is not a provider’s own id of a person."),
    "reason.TooManyIdentities": msgid(
        "This user has the most external identities that there may be."
    ),
    "reason.InvalidProvider": msgid("These settings of an identity provider cannot be used."),
    "reason.IssuerIsFixed": msgid("The issuer of a provider cannot be changed."),
    "reason.IssuerTaken": msgid("This issuer is set up already."),
    "reason.ProviderNotFound": msgid("There is no such identity provider."),
    "reason.ProviderUnavailable": msgid("The identity provider does not answer as it should."),
    "reason.TooManyProviders": msgid("There may not be more identity providers."),
    "reason.ExternalSignInRefused": msgid("The sign-in at the identity provider did not succeed."),
    "reason.InvalidCertificate": msgid("This certificate cannot be used."),
    "reason.InvalidUrl": msgid("This is not an https address."),
    "reason.InvalidPasskey": msgid("This passkey cannot be used."),
    "reason.PasskeysNotOffered": msgid(
        "Passkeys need a name, and this server was reached by an address."
    ),
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
    "reason.InvalidSkipToken": msgid("This is no place in the list."),
    "reason.InvalidRequestContent": msgid("What was entered cannot be used."),
    "reason.ResourceNotFound": msgid("It is not there (any more)."),
    "reason.Conflict": msgid("The state of things does not permit it."),
    "reason.PreconditionFailed": msgid("It was changed by somebody else in the meantime."),
    "reason.TooManyRequests": msgid("These were too many attempts in a short time."),
    "reason.ServiceUnavailable": msgid(
        "The database cannot be reached; what is open still ends on time."
    ),
    "reason.EnforcementFailed": msgid("The firewall answered otherwise than it should."),
    "reason.MisdirectedRequest": msgid("This is not a name of this server."),
}
