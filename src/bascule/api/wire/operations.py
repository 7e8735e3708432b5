"""What Azure's activity log calls each kind of event: operation, display name, outcome.

Source: the Administrative category of the activity log's schema (CONTRACT 6.5) and the
display name of ``initiate`` (CONTRACT 2.9). Operations of ours are named in our own
provider namespaces after the same pattern, ``Provider/type/verb``. A kind that is not in
the table (of a newer part of the program) is told under its own name, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.domain.facts import (
    agents,
    calls,
    delivery,
    grants,
    groups,
    installation,
    machines,
    policies,
    providers,
    record,
    roles,
    service_principals,
    sessions,
    sign_in,
    users,
)
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, fact_name
from bascule.domain.facts.grants import GrantEnded
from bascule.domain.lifecycle import StatusReason

_JIT = "Microsoft.Security/locations/jitNetworkAccessPolicies"
_VM = "Microsoft.Compute/virtualMachines"
_PEOPLE = "Microsoft.Authorization"
_USERS = "Microsoft.Authorization/users"
_SINK = "Microsoft.Authorization/recordSinks"
_ROLES = "Microsoft.Authorization/roleDefinitions"
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_IDP = "Bascule.Identity/identityProviders"
_GROUP = "Microsoft.Resources/subscriptions/resourceGroups"
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Operation:
    action: str  # as roles name it
    display: str
    status: str = "Succeeded"
    sub_status: str = "OK"  # Azure's words for the HTTP status
    level: str = "Informational"
    is_call: bool = False  # somebody's call: it has a beginning too, status Started

    @property
    def provider(self) -> str:
        return self.action.partition("/")[0]

    @property
    def resource_type(self) -> str:
        """The action without its verb: ``.../write``, or ``.../initiate/action``."""
        stem = self.action.removesuffix("/action")
        return stem.rpartition("/")[0]

    @property
    def method(self) -> str:
        verb = self.action.rpartition("/")[2]
        return {"write": "PUT", "delete": "DELETE", "read": "GET"}.get(verb, "POST")


DENIED = "Deny call"  # what every denied call is filtered by
_FAILED = ("Failed", "BadRequest", "Error")
_OPERATIONS: Mapping[type[Fact], Operation] = {
    installation.InstallationCreated: Operation(
        "Bascule.Audit/installations/write", "Create installation"
    ),
    installation.AdministratorRecovered: Operation(
        "Bascule.Audit/administrators/recover/action", "Recover administrator", level="Warning"
    ),
    installation.SetUpLinkMade: Operation(
        "Bascule.Identity/setUpLinks/write", "Make set-up link", level="Warning"
    ),
    installation.SetUpLinkUsed: Operation(
        "Bascule.Identity/setUpLinks/use/action", "Use set-up link", level="Warning"
    ),
    installation.SetUpRefused: Operation(
        "Bascule.Identity/setUpLinks/use/action",
        "Use set-up link",
        "Failed",
        "Unauthorized",
        "Warning",
    ),
    sign_in.SignInSucceeded: Operation("Bascule.Identity/signIns/complete/action", "Sign in"),
    sign_in.SignInRefused: Operation(
        "Bascule.Identity/signIns/complete/action", "Sign in", "Failed", "Unauthorized", "Warning"
    ),
    sign_in.SecondFactorOwed: Operation(
        "Bascule.Identity/signIns/begin/action", "Begin sign-in, second factor owed"
    ),
    sign_in.PasswordSet: Operation(f"{_USERS}/write", "Set password", is_call=True),
    sign_in.FactorEnrolled: Operation(f"{_USERS}/write", "Enrol second factor", is_call=True),
    sign_in.FactorRemoved: Operation(
        f"{_USERS}/write", "Remove second factor", level="Warning", is_call=True
    ),
    sign_in.RecoveryCodesMade: Operation(f"{_USERS}/write", "Make recovery codes", is_call=True),
    sign_in.RecoveryCodeUsed: Operation(
        "Bascule.Identity/recoveryCodes/use/action", "Use recovery code", level="Warning"
    ),
    machines.ResourceGroupCreated: Operation(
        f"{_GROUP}/write", "Update resource group", sub_status="Created", is_call=True
    ),
    machines.ResourceGroupDeleted: Operation(
        f"{_GROUP}/delete", "Delete resource group", is_call=True
    ),
    machines.MachineAdded: Operation(
        f"{_VM}/write", "Create or Update Virtual Machine", sub_status="Created", is_call=True
    ),
    machines.MachineChanged: Operation(
        f"{_VM}/write", "Create or Update Virtual Machine", is_call=True
    ),
    machines.MachineDeleted: Operation(f"{_VM}/delete", "Delete Virtual Machine", is_call=True),
    policies.PolicyCreated: Operation(
        f"{_JIT}/write", "Create or Update JIT Network Access Policy", is_call=True
    ),
    policies.PolicyChanged: Operation(
        f"{_JIT}/write", "Create or Update JIT Network Access Policy", is_call=True
    ),
    policies.PolicyDeleted: Operation(
        f"{_JIT}/delete", "Delete JIT Network Access Policy", is_call=True
    ),
    roles.RoleCreated: Operation(
        f"{_ROLES}/write", "Create or update custom role definition", is_call=True
    ),
    roles.RoleChanged: Operation(
        f"{_ROLES}/write", "Create or update custom role definition", is_call=True
    ),
    roles.RoleDeleted: Operation(f"{_ROLES}/delete", "Delete custom role definition", is_call=True),
    roles.RoleAssigned: Operation(
        f"{_ASSIGNMENTS}/write", "Create role assignment", sub_status="Created", is_call=True
    ),
    roles.RoleUnassigned: Operation(
        f"{_ASSIGNMENTS}/delete", "Delete role assignment", is_call=True
    ),
    machines.PortClosed: Operation("Bascule.Access/machineRules/close/action", "Close port"),
    machines.PortReleased: Operation("Bascule.Access/machineRules/release/action", "Release port"),
    machines.PortLeftPolicies: Operation(
        "Bascule.Access/machineRules/leave/action", "Take port out of policies"
    ),
    policies.PricingChanged: Operation(
        "Microsoft.Security/pricings/write", "Update pricing settings", is_call=True
    ),
    calls.DenialsCounted: Operation(
        "Bascule.Audit/calls/deny/action", "Count denied calls", *_FAILED
    ),
    grants.AccessRequested: Operation(
        f"{_JIT}/initiate/action",
        "Initiate JIT Network Access Policy",
        "Accepted",
        "Accepted",
        is_call=True,
    ),
    grants.AccessDenied: Operation(
        f"{_JIT}/initiate/action", "Initiate JIT Network Access Policy", *_FAILED, is_call=True
    ),
    grants.GrantCreated: Operation(
        "Bascule.Access/grants/write", "Grant access to port", "Accepted", "Accepted"
    ),
    grants.GrantOpened: Operation("Bascule.Access/grants/open/action", "Open port"),
    grants.GrantExtended: Operation(
        "Bascule.Access/accessRequests/extend/action", "Extend access", is_call=True
    ),
    grants.GrantShortened: Operation("Bascule.Access/grants/shorten/action", "Shorten access"),
    grants.GrantFailed: Operation(
        "Bascule.Access/grants/open/action", "Open port", "Failed", "ServiceUnavailable", "Error"
    ),
    grants.GrantClosed: Operation("Bascule.Access/grants/close/action", "Close access to port"),
    grants.SessionsCut: Operation(
        "Bascule.Access/grants/cut/action", "Cut sessions of ended access", is_call=True
    ),
    agents.EnrolmentCreated: Operation(
        "Bascule.Fleet/enrolments/write", "Create enrolment token", is_call=True
    ),
    agents.EnrolmentRefused: Operation(
        "Bascule.Fleet/enforcementPoints/write", "Enrol agent", "Failed", "Forbidden", "Error"
    ),
    agents.AgentEnrolled: Operation("Bascule.Fleet/enforcementPoints/write", "Enrol agent"),
    agents.AgentRemoved: Operation(
        "Microsoft.Authorization/enrolments/delete", "Remove agent", level="Warning", is_call=True
    ),
    agents.AgentWentSilent: Operation(
        "Bascule.Fleet/enforcementPoints/lose/action",
        "Lose contact with agent",
        "Failed",
        "ServiceUnavailable",
        "Warning",
    ),
    agents.AgentCameBack: Operation(
        "Bascule.Fleet/enforcementPoints/find/action", "Hear from agent again"
    ),
    agents.GenerationOvertaken: Operation(
        "Bascule.Fleet/enforcementPoints/overtake/action",
        "Find the server older than its agent",
        *_FAILED[:2],
        level="Critical",
    ),
    agents.AgentDoubted: Operation(
        "Bascule.Fleet/enforcementPoints/doubt/action",
        "Stop believing an agent",
        level="Critical",
    ),
    agents.AgentBelieved: Operation(
        "Bascule.Fleet/enforcementPoints/believe/action",
        "Believe an agent again",
        level="Warning",
        is_call=True,
    ),
    agents.DriftHealed: Operation(
        "Bascule.Fleet/enforcementPoints/heal/action", "Put changed rules back", level="Warning"
    ),
    agents.OpenedLocally: Operation(
        "Bascule.Fleet/enforcementPoints/open/action", "Open port on the host", level="Warning"
    ),
    agents.NotesWithheld: Operation(
        "Bascule.Fleet/enforcementPoints/hush/action",
        "Leave notes of an agent out of the record",
        level="Warning",
    ),
    agents.AgentReported: Operation(
        "Bascule.Fleet/enforcementPoints/note/action", "Take a note of an agent", level="Warning"
    ),
    record.RecordPruned: Operation(
        "Bascule.Audit/events/prune/action", "Prune record", level="Warning", is_call=True
    ),
    installation.ClockLeapt: Operation(
        "Bascule.Audit/clock/leap/action", "Find that the clock leapt", *_FAILED[:2], "Critical"
    ),
    installation.ClockConfirmed: Operation(
        "Bascule.Audit/clock/confirm/action", "Confirm the clock", level="Warning"
    ),
    record.RecordBroken: Operation(
        "Bascule.Audit/events/verify/action", "Verify record", *_FAILED[:2], "Critical"
    ),
    record.RecordDisputed: Operation(
        "Bascule.Audit/events/witness/action", "Witness record", *_FAILED[:2], "Critical"
    ),
    delivery.SinkAdded: Operation(
        f"{_SINK}/write", "Send record to a place", sub_status="Created", is_call=True
    ),
    delivery.SinkChanged: Operation(f"{_SINK}/write", "Change where record is sent", is_call=True),
    delivery.SinkRemoved: Operation(
        f"{_SINK}/delete", "Stop sending record to a place", level="Warning", is_call=True
    ),
    delivery.SinkDisabled: Operation(
        "Bascule.Audit/sinks/disable/action", "Send record", *_FAILED[:2], "Error"
    ),
    delivery.SinkParked: Operation(
        "Bascule.Audit/sinks/park/action", "Send record", *_FAILED[:2], "Error"
    ),
    delivery.SinkSkipped: Operation(
        "Bascule.Audit/sinks/skip/action", "Leave out of the record sent", level="Warning"
    ),
    users.UserCreated: Operation(f"{_PEOPLE}/users/write", "Create user", is_call=True),
    users.UserChanged: Operation(f"{_PEOPLE}/users/write", "Update user", is_call=True),
    users.UserDisabled: Operation(
        f"{_PEOPLE}/users/disable/action", "Disable user", level="Warning", is_call=True
    ),
    users.UserEnabled: Operation(f"{_PEOPLE}/users/enable/action", "Enable user", is_call=True),
    users.UserDeleted: Operation(
        f"{_PEOPLE}/users/delete", "Delete user", level="Warning", is_call=True
    ),
    groups.GroupCreated: Operation(f"{_PEOPLE}/groups/write", "Create group", is_call=True),
    groups.GroupChanged: Operation(f"{_PEOPLE}/groups/write", "Update group", is_call=True),
    groups.GroupDeleted: Operation(
        f"{_PEOPLE}/groups/delete", "Delete group", level="Warning", is_call=True
    ),
    groups.MemberAdded: Operation(
        f"{_PEOPLE}/groups/members/write", "Add member to group", is_call=True
    ),
    groups.MemberRemoved: Operation(
        f"{_PEOPLE}/groups/members/delete", "Remove member from group", is_call=True
    ),
    groups.MembershipEnded: Operation(
        f"{_PEOPLE}/groups/members/expire/action", "End membership of group"
    ),
    service_principals.ServicePrincipalCreated: Operation(
        f"{_PEOPLE}/servicePrincipals/write", "Create service principal", is_call=True
    ),
    service_principals.ServicePrincipalChanged: Operation(
        f"{_PEOPLE}/servicePrincipals/write", "Update service principal", is_call=True
    ),
    service_principals.ServicePrincipalDisabled: Operation(
        f"{_PEOPLE}/servicePrincipals/disable/action",
        "Disable service principal",
        level="Warning",
        is_call=True,
    ),
    service_principals.ServicePrincipalEnabled: Operation(
        f"{_PEOPLE}/servicePrincipals/enable/action", "Enable service principal", is_call=True
    ),
    service_principals.ServicePrincipalDeleted: Operation(
        f"{_PEOPLE}/servicePrincipals/delete",
        "Delete service principal",
        level="Warning",
        is_call=True,
    ),
    service_principals.CredentialAdded: Operation(
        f"{_PEOPLE}/servicePrincipals/credentials/write",
        "Add service principal credentials",
        level="Warning",
        is_call=True,
    ),
    service_principals.CredentialRemoved: Operation(
        f"{_PEOPLE}/servicePrincipals/credentials/delete",
        "Remove service principal credentials",
        level="Warning",
        is_call=True,
    ),
    providers.ProviderAdded: Operation(
        f"{_IDP}/write", "Create or Update Identity Provider", sub_status="Created", is_call=True
    ),
    providers.ProviderChanged: Operation(
        f"{_IDP}/write", "Create or Update Identity Provider", is_call=True
    ),
    providers.ProviderRemoved: Operation(
        f"{_IDP}/delete", "Delete Identity Provider", is_call=True
    ),
    providers.IdentityLinked: Operation(
        f"{_IDP}/identities/write", "Link External Identity", is_call=True
    ),
    providers.IdentityUnlinked: Operation(
        f"{_IDP}/identities/delete", "Unlink External Identity", is_call=True
    ),
    providers.IdentityInvited: Operation(
        f"{_IDP}/invitations/write", "Invite External Identity", is_call=True
    ),
    providers.IdentityInvitationWithdrawn: Operation(
        f"{_IDP}/invitations/delete", "Withdraw Invitation of External Identity", is_call=True
    ),
    providers.ProviderGroupsChanged: Operation(
        f"{_IDP}/groups/write", "Take groups from identity provider"
    ),
    providers.ExternalSignInRefused: Operation(
        f"{_IDP}/signIn/action", "Sign in by identity provider", "Failed", "Forbidden", "Error"
    ),
    sessions.SignedIn: Operation(
        "Microsoft.Authorization/tokens/issue/action", "Sign in to program"
    ),
    sessions.TokenFamilyRevoked: Operation(
        "Microsoft.Authorization/tokens/revoke/action", "Revoke tokens of program", level="Warning"
    ),
    sessions.SessionEnded: Operation(
        "Microsoft.Authorization/users/sessions/end/action", "End session", is_call=True
    ),
    sessions.SignedOutEverywhere: Operation(
        "Microsoft.Authorization/users/signOut/action", "Sign out everywhere", is_call=True
    ),
    sessions.DeviceCodeApproved: Operation(
        "Microsoft.Authorization/deviceCodes/approve/action", "Approve device code"
    ),
    sessions.DeviceCodeRefused: Operation(
        "Microsoft.Authorization/deviceCodes/refuse/action", "Refuse device code", level="Warning"
    ),
    installation.SigningKeyRotated: Operation(
        "Microsoft.Authorization/signingKeys/write",
        "Rotate signing key",
        level="Warning",
        is_call=True,
    ),
}
_ENDS: Mapping[str, Operation] = {
    StatusReason.USER_REQUESTED: Operation(
        "Bascule.Access/accessRequests/revoke/action", "Revoke access", is_call=True
    ),
    StatusReason.EXPIRED: Operation("Bascule.Access/grants/expire/action", "Expire access"),
    StatusReason.NEWER_REQUEST_INITIATED: Operation(
        "Bascule.Access/grants/supersede/action", "Supersede access by a newer request"
    ),
}


_DENIED = Operation("Bascule.Audit/calls/deny/action", DENIED, "Failed", "Forbidden", "Error")


def known_operations() -> Mapping[str, Operation]:
    """What each sort of event is called (``domain.events.sort_of``); a denied call without
    what it meant, which only its path tells.
    """
    plain = {kind.__name__: operation for kind, operation in _OPERATIONS.items()}
    ends = {f"{GrantEnded.__name__}.{reason}": each for reason, each in _ENDS.items()}
    return {**plain, **ends, CallerDenied.__name__: _DENIED}


def operation_of(fact: Fact) -> Operation:
    """What the activity log calls this."""
    if isinstance(fact, CallerDenied):
        return _denied_call(fact)
    if isinstance(fact, GrantEnded) and fact.reason in _ENDS:
        return _ENDS[fact.reason]
    return _OPERATIONS.get(type(fact)) or _unlisted(fact)


def _unlisted(fact: Fact) -> Operation:
    name = fact_name(fact)
    words = " ".join(_WORDS.split(name)).capitalize()
    is_bad = name.endswith(("Denied", "Refused", "Failed"))
    how = ("Failed", "Forbidden", "Error") if is_bad else ("Succeeded", "OK", "Informational")
    return Operation(f"Bascule.Audit/{name[:1].lower()}{name[1:]}/action", words, *how)


def _denied_call(fact: CallerDenied) -> Operation:
    """The operation that a refused call meant, as far as its path tells."""
    segments = [each for each in fact.path.split("/") if each]
    folded = [each.casefold() for each in segments]
    if "providers" not in folded[:-1]:
        return _DENIED
    last = len(folded) - 1 - folded[::-1].index("providers")
    namespace, rest = segments[last + 1], segments[last + 2 :]
    types = rest[::2]
    is_action = fact.method == "POST" and len(rest) % 2 == 1
    verb = f"{types.pop()}/action" if is_action else _VERBS.get(fact.method, "action")
    action = "/".join([namespace, *types, verb])
    return Operation(action, f"Denied: {action}", "Failed", "Forbidden", "Error", is_call=True)
