"""Every action that a route or use case asks for, with the words Azure shows for it.

Sources: Azure's resource provider operations (CONTRACT 2.8; display names of the JIT ones
are Azure's). What Azure has no operation for is named in ``Bascule.*``, after the same
pattern. What could raise somebody's rights is named under ``Microsoft.Authorization`` and
ends in write or delete, so that Contributor's notActions cover it (EDGES B4).
"""

from __future__ import annotations

from collections.abc import Mapping

_JIT = "Microsoft.Security/locations/jitNetworkAccessPolicies"
_VM = "Microsoft.Compute/virtualMachines"
_RESOURCES = "Microsoft.Resources/subscriptions"
_NETWORK = "Microsoft.Network"
_SECURITY = "Microsoft.Security"
_AUTHORIZATION = "Microsoft.Authorization"

POLICY_READ = f"{_JIT}/read"
POLICY_WRITE = f"{_JIT}/write"
POLICY_DELETE = f"{_JIT}/delete"
INITIATE = f"{_JIT}/initiate/action"
MACHINE_READ = f"{_VM}/read"
MACHINE_WRITE = f"{_VM}/write"
MACHINE_DELETE = f"{_VM}/delete"
INSTANCE_VIEW_READ = f"{_VM}/instanceView/read"
SUBSCRIPTION_READ = f"{_RESOURCES}/read"
LOCATION_READ = f"{_RESOURCES}/locations/read"
GROUP_READ = f"{_RESOURCES}/resourceGroups/read"
GROUP_WRITE = f"{_RESOURCES}/resourceGroups/write"
GROUP_DELETE = f"{_RESOURCES}/resourceGroups/delete"
RESOURCES_READ = f"{_RESOURCES}/resources/read"
PROVIDER_READ = f"{_RESOURCES}/providers/read"
NIC_READ = f"{_NETWORK}/networkInterfaces/read"
PUBLIC_IP_READ = f"{_NETWORK}/publicIPAddresses/read"
NSG_READ = f"{_NETWORK}/networkSecurityGroups/read"
NSG_RULE_READ = f"{_NETWORK}/networkSecurityGroups/securityRules/read"
NSG_WRITE = f"{_NETWORK}/networkSecurityGroups/write"
NSG_DELETE = f"{_NETWORK}/networkSecurityGroups/delete"
NSG_RULE_WRITE = f"{_NETWORK}/networkSecurityGroups/securityRules/write"
NSG_RULE_DELETE = f"{_NETWORK}/networkSecurityGroups/securityRules/delete"
NIC_WRITE = f"{_NETWORK}/networkInterfaces/write"
NIC_DELETE = f"{_NETWORK}/networkInterfaces/delete"
PUBLIC_IP_WRITE = f"{_NETWORK}/publicIPAddresses/write"
PUBLIC_IP_DELETE = f"{_NETWORK}/publicIPAddresses/delete"
FIREWALL_READ = f"{_NETWORK}/azureFirewalls/read"
FIREWALL_WRITE = f"{_NETWORK}/azureFirewalls/write"
FIREWALL_DELETE = f"{_NETWORK}/azureFirewalls/delete"
PRICING_READ = f"{_SECURITY}/pricings/read"
PRICING_WRITE = f"{_SECURITY}/pricings/write"
PRICING_DELETE = f"{_SECURITY}/pricings/delete"
SECURITY_POLICY_READ = f"{_SECURITY}/policies/read"
SECURITY_LOCATION_READ = f"{_SECURITY}/locations/read"
ACTIVITY_READ = "Microsoft.Insights/eventtypes/values/read"
ROLE_READ = f"{_AUTHORIZATION}/roleDefinitions/read"
ROLE_WRITE = f"{_AUTHORIZATION}/roleDefinitions/write"
ROLE_DELETE = f"{_AUTHORIZATION}/roleDefinitions/delete"
ASSIGNMENT_READ = f"{_AUTHORIZATION}/roleAssignments/read"
ASSIGNMENT_WRITE = f"{_AUTHORIZATION}/roleAssignments/write"
ASSIGNMENT_DELETE = f"{_AUTHORIZATION}/roleAssignments/delete"
PERMISSION_READ = f"{_AUTHORIZATION}/permissions/read"
OPERATION_READ = f"{_AUTHORIZATION}/providerOperations/read"
USER_READ = f"{_AUTHORIZATION}/users/read"
USER_WRITE = f"{_AUTHORIZATION}/users/write"
USER_DELETE = f"{_AUTHORIZATION}/users/delete"
GROUP_OF_PEOPLE_READ = f"{_AUTHORIZATION}/groups/read"
GROUP_OF_PEOPLE_WRITE = f"{_AUTHORIZATION}/groups/write"
GROUP_OF_PEOPLE_DELETE = f"{_AUTHORIZATION}/groups/delete"
SERVICE_PRINCIPAL_READ = f"{_AUTHORIZATION}/servicePrincipals/read"
SERVICE_PRINCIPAL_WRITE = f"{_AUTHORIZATION}/servicePrincipals/write"
SERVICE_PRINCIPAL_DELETE = f"{_AUTHORIZATION}/servicePrincipals/delete"
IDENTITY_PROVIDER_READ = f"{_AUTHORIZATION}/identityProviders/read"
IDENTITY_PROVIDER_WRITE = f"{_AUTHORIZATION}/identityProviders/write"
IDENTITY_PROVIDER_DELETE = f"{_AUTHORIZATION}/identityProviders/delete"
SIGN_IN_SETTINGS_READ = f"{_AUTHORIZATION}/signInSettings/read"
SIGN_IN_SETTINGS_WRITE = f"{_AUTHORIZATION}/signInSettings/write"
SIGNING_KEY_WRITE = f"{_AUTHORIZATION}/signingKeys/write"
ENROLMENT_WRITE = f"{_AUTHORIZATION}/enrolments/write"
ENROLMENT_DELETE = f"{_AUTHORIZATION}/enrolments/delete"
RECORD_DELETE = f"{_AUTHORIZATION}/records/delete"
SINK_READ = f"{_AUTHORIZATION}/recordSinks/read"
SINK_WRITE = f"{_AUTHORIZATION}/recordSinks/write"
SINK_DELETE = f"{_AUTHORIZATION}/recordSinks/delete"
REQUEST_REVOKE = "Bascule.Access/accessRequests/revoke/action"
REQUEST_APPROVE = "Bascule.Access/accessRequests/approve/action"  # a data action
EMERGENCY = "Bascule.Access/accessRequests/emergency/action"  # a data action
RULES_WRITE = f"{_AUTHORIZATION}/accessRules/write"
POINT_READ = "Bascule.Fleet/enforcementPoints/read"
EVENT_READ = "Bascule.Audit/events/read"
RECORD_VERIFY = "Bascule.Audit/verification/action"
CHECKPOINT_READ = "Bascule.Audit/checkpoints/read"
CHECKPOINT_WRITE = "Bascule.Audit/checkpoints/write"
METRICS_READ = "Bascule.Fleet/metrics/read"

# What no wildcard of actions gives, only one of data actions (EDGES J3).
DATA_ACTIONS = frozenset({REQUEST_APPROVE, EMERGENCY})

DISPLAY: Mapping[str, str] = {
    POLICY_READ: "Gets the just-in-time network access policies",
    POLICY_WRITE: ("Creates a new just-in-time network access policy or updates an existing one"),
    POLICY_DELETE: "Deletes the just-in-time network access policy",
    INITIATE: "Initiates a just-in-time network access policy request",
    MACHINE_READ: "Get the properties of a virtual machine",
    MACHINE_WRITE: "Creates a new virtual machine or updates an existing virtual machine",
    MACHINE_DELETE: "Deletes the virtual machine",
    INSTANCE_VIEW_READ: "Gets the detailed runtime status of the virtual machine",
    SUBSCRIPTION_READ: "Gets the list of subscriptions",
    LOCATION_READ: "Gets the list of locations",
    GROUP_READ: "Gets or lists resource groups",
    GROUP_WRITE: "Creates or updates a resource group",
    GROUP_DELETE: "Deletes an empty resource group",
    RESOURCES_READ: "Gets resources of the subscription",
    PROVIDER_READ: "Gets or lists resource providers",
    NIC_READ: "Gets a network interface definition",
    PUBLIC_IP_READ: "Gets a public IP address definition",
    NSG_READ: "Gets a network security group definition",
    NSG_RULE_READ: "Gets a security rule definition",
    NSG_WRITE: "Creates or updates a network security group (refused: it is a view)",
    NSG_DELETE: "Deletes a network security group (refused: it is a view)",
    NSG_RULE_WRITE: "Creates or updates a security rule (refused: it is a view)",
    NSG_RULE_DELETE: "Deletes a security rule (refused: it is a view)",
    NIC_WRITE: "Creates or updates a network interface (refused: it is a view)",
    NIC_DELETE: "Deletes a network interface (refused: it is a view)",
    PUBLIC_IP_WRITE: "Creates or updates a public IP address (refused: it is a view)",
    PUBLIC_IP_DELETE: "Deletes a public IP address (refused: it is a view)",
    FIREWALL_READ: "Gets an Azure Firewall",
    FIREWALL_WRITE: "Creates or updates an Azure Firewall (refused: it is a view)",
    FIREWALL_DELETE: "Deletes an Azure Firewall (refused: it is a view)",
    PRICING_READ: "Gets the pricing settings for the scope",
    PRICING_WRITE: "Updates the pricing settings for the scope",
    PRICING_DELETE: "Deletes the pricing settings for the scope",
    SECURITY_POLICY_READ: "Gets the security policy",
    SECURITY_LOCATION_READ: "Gets the security data location",
    ACTIVITY_READ: "Gets the events of the activity log",
    ROLE_READ: "Get information about a role definition",
    ROLE_WRITE: "Create or update a custom role definition",
    ROLE_DELETE: "Delete the specified custom role definition",
    ASSIGNMENT_READ: "Get information about a role assignment",
    ASSIGNMENT_WRITE: "Create a role assignment at the specified scope",
    ASSIGNMENT_DELETE: "Delete a role assignment at the specified scope",
    PERMISSION_READ: "Lists all the permissions the caller has at a given scope",
    OPERATION_READ: "Get operations for all resource providers",
    USER_READ: "Gets users",
    USER_WRITE: "Creates or changes a user, or its ways of signing in",
    USER_DELETE: "Deletes a user",
    GROUP_OF_PEOPLE_READ: "Gets groups of principals and their members",
    GROUP_OF_PEOPLE_WRITE: "Creates or changes a group of principals, or its members",
    GROUP_OF_PEOPLE_DELETE: "Deletes a group of principals",
    SERVICE_PRINCIPAL_READ: "Gets service principals",
    SERVICE_PRINCIPAL_WRITE: "Creates or changes a service principal, or its credentials",
    SERVICE_PRINCIPAL_DELETE: "Deletes a service principal",
    IDENTITY_PROVIDER_READ: "Gets external identity providers",
    IDENTITY_PROVIDER_WRITE: "Creates or changes an external identity provider",
    IDENTITY_PROVIDER_DELETE: "Deletes an external identity provider",
    SIGN_IN_SETTINGS_READ: "Gets the settings of signing in",
    SIGN_IN_SETTINGS_WRITE: "Changes the settings of signing in",
    SIGNING_KEY_WRITE: "Rotates the keys that sign tokens",
    ENROLMENT_WRITE: "Creates an enrolment token of an enforcement point",
    ENROLMENT_DELETE: "Removes an enforcement point: its key is refused from then on",
    RECORD_DELETE: "Deletes old events from the record",
    SINK_READ: "Gets the places that the record is sent to",
    SINK_WRITE: "Creates or changes a place that the record is sent to",
    SINK_DELETE: "Deletes a place that the record is sent to",
    REQUEST_REVOKE: "Revokes access requests of others",
    REQUEST_APPROVE: "Approves or denies access requests of others",
    EMERGENCY: "Requests emergency access, which needs no approval",
    RULES_WRITE: "Creates or changes rules and approvals of just-in-time network access policies",
    POINT_READ: "Gets enforcement points",
    EVENT_READ: "Gets the events of the record",
    RECORD_VERIFY: "Verifies the record's chain",
    CHECKPOINT_READ: "Gets the record's checkpoints and its public key",
    CHECKPOINT_WRITE: "Signs a checkpoint of the record",
    METRICS_READ: "Gets the metrics of the server",
}
