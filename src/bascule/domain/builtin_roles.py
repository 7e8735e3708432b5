"""Azure's built-in roles that we have, by their GUIDs and with their true actions.

Source: Azure built-in roles, 2026 (CONTRACT 6.4). Actions of providers that are not here are
kept: a client that compares finds what it knows. Reader's GUID is Azure's as published.
"""

from __future__ import annotations

from bascule.domain.actions import (
    EMERGENCY,
    MACHINE_READ,
    POLICY_READ,
    REQUEST_APPROVE,
    SUBSCRIPTION_READ,
)
from bascule.domain.roles import Permission, RoleDefinition
from bascule.domain.scopes import ROOT


def _role(
    guid: str, name: str, description: str, actions: str, not_actions: str = ""
) -> RoleDefinition:
    permission = Permission(tuple(actions.split()), tuple(not_actions.split()))
    return RoleDefinition(guid, name, description, True, (permission,), (ROOT,))


OWNER = _role(
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Owner",
    "Grants full access to manage all resources, including the ability to assign roles.",
    "*",
)
CONTRIBUTOR = _role(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    "Grants full access to manage all resources, but does not allow you to assign roles.",
    "*",
    """
    Microsoft.Authorization/*/Delete
    Microsoft.Authorization/*/Write
    Microsoft.Authorization/elevateAccess/Action
    Microsoft.Blueprint/blueprintAssignments/write
    Microsoft.Blueprint/blueprintAssignments/delete
    Microsoft.Compute/galleries/share/action
    Microsoft.Purview/consents/write
    Microsoft.Purview/consents/delete
    Microsoft.Resources/deploymentStacks/manageDenySetting/action
    Microsoft.Subscription/cancel/action
    Microsoft.Subscription/enable/action
    """,
)
READER = _role(
    "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Reader",
    "View all resources, but does not allow you to make any changes.",
    "*/read",
)
USER_ACCESS_ADMINISTRATOR = _role(
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "User Access Administrator",
    "Lets you manage user access to resources.",
    "*/read Microsoft.Authorization/* Microsoft.Support/*",
)
SECURITY_READER = _role(
    "39bc4728-0917-49c7-9d2c-d95423bc2eb4",
    "Security Reader",
    "Lets you view the security state and policies, but not change them.",
    """
    Microsoft.Authorization/*/read
    Microsoft.Insights/alertRules/read
    Microsoft.operationalInsights/workspaces/*/read
    Microsoft.Resources/deployments/*/read
    Microsoft.Resources/subscriptions/resourceGroups/read
    Microsoft.Security/*/read
    Microsoft.IoTSecurity/*/read
    Microsoft.Support/*/read
    Microsoft.Security/iotDefenderSettings/packageDownloads/action
    Microsoft.Security/iotDefenderSettings/downloadManagerActivation/action
    Microsoft.Security/iotSensors/downloadResetPassword/action
    Microsoft.IoTSecurity/defenderSettings/packageDownloads/action
    Microsoft.IoTSecurity/defenderSettings/downloadManagerActivation/action
    Microsoft.Management/managementGroups/read
    """,
)
SECURITY_ADMIN = _role(
    "fb1c8493-542b-48eb-b624-b4c8fea62acd",
    "Security Admin",
    "Lets you view and change the security state and policies, and request access.",
    """
    Microsoft.Authorization/*/read
    Microsoft.Authorization/policyAssignments/*
    Microsoft.Authorization/policyDefinitions/*
    Microsoft.Authorization/policyExemptions/*
    Microsoft.Authorization/policySetDefinitions/*
    Microsoft.Insights/alertRules/*
    Microsoft.Management/managementGroups/read
    Microsoft.operationalInsights/workspaces/*/read
    Microsoft.Resources/deployments/*
    Microsoft.Resources/subscriptions/resourceGroups/read
    Microsoft.Security/*
    Microsoft.IoTSecurity/*
    Microsoft.IoTFirmwareDefense/*
    Microsoft.Support/*
    """,
)
VIRTUAL_MACHINE_CONTRIBUTOR = _role(
    "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
    "Virtual Machine Contributor",
    "Lets you manage virtual machines, but not access to them.",
    """
    Microsoft.Authorization/*/read
    Microsoft.Compute/availabilitySets/*
    Microsoft.Compute/locations/*
    Microsoft.Compute/virtualMachines/*
    Microsoft.Compute/virtualMachineScaleSets/*
    Microsoft.Compute/cloudServices/*
    Microsoft.Compute/disks/write
    Microsoft.Compute/disks/read
    Microsoft.Compute/disks/delete
    Microsoft.Compute/hostgroups/write
    Microsoft.Compute/hostgroups/hosts/write
    Microsoft.DevTestLab/schedules/*
    Microsoft.Insights/alertRules/*
    Microsoft.Network/applicationGateways/backendAddressPools/join/action
    Microsoft.Network/loadBalancers/backendAddressPools/join/action
    Microsoft.Network/loadBalancers/inboundNatPools/join/action
    Microsoft.Network/loadBalancers/inboundNatRules/join/action
    Microsoft.Network/loadBalancers/probes/join/action
    Microsoft.Network/loadBalancers/read
    Microsoft.Network/locations/*
    Microsoft.Network/networkInterfaces/*
    Microsoft.Network/networkSecurityGroups/join/action
    Microsoft.Network/networkSecurityGroups/read
    Microsoft.Network/publicIPAddresses/join/action
    Microsoft.Network/publicIPAddresses/read
    Microsoft.Network/virtualNetworks/read
    Microsoft.Network/virtualNetworks/subnets/join/action
    Microsoft.RecoveryServices/locations/*
    Microsoft.RecoveryServices/Vaults/backupFabrics/backupProtectionIntent/write
    Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/*/read
    Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/read
    Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/write
    Microsoft.RecoveryServices/Vaults/backupPolicies/read
    Microsoft.RecoveryServices/Vaults/backupPolicies/write
    Microsoft.RecoveryServices/Vaults/read
    Microsoft.RecoveryServices/Vaults/usages/read
    Microsoft.RecoveryServices/Vaults/write
    Microsoft.ResourceHealth/availabilityStatuses/read
    Microsoft.Resources/deployments/*
    Microsoft.Resources/subscriptions/resourceGroups/read
    Microsoft.SerialConsole/serialPorts/connect/action
    Microsoft.SqlVirtualMachine/*
    Microsoft.Storage/storageAccounts/listKeys/action
    Microsoft.Storage/storageAccounts/read
    Microsoft.Support/*
    """,
)

# Ours: Azure has no approval of requests. It holds a data action alone (EDGES J3).
ACCESS_APPROVER = RoleDefinition(
    "6d1c2c0e-53c4-4f0e-9c55-0a1f5f0a7a11",
    "Bascule Access Approver",
    "Lets you approve and deny requests for access, where a rule asks whoever holds this role.",
    True,
    (Permission(data_actions=(REQUEST_APPROVE,)),),
    (ROOT,),
)

# Ours: no role of Azure's gives emergency access (EDGES J3). Reading what one may request is part of it.
EMERGENCY_ACCESS = RoleDefinition(
    "0b6f2f55-7a2e-4c0b-8a3e-5a2b7e0c1d10",
    "Bascule Emergency Access",
    "Lets you open ports without approval for at most an hour, with a second factor and a reason. "
    "Owners are told at once, and somebody else reviews it.",
    True,
    (
        Permission(
            actions=(POLICY_READ, MACHINE_READ, SUBSCRIPTION_READ), data_actions=(EMERGENCY,)
        ),
    ),
    (ROOT,),
)

AZURE_ROLES = (
    CONTRIBUTOR,
    OWNER,
    READER,
    SECURITY_ADMIN,
    SECURITY_READER,
    USER_ACCESS_ADMINISTRATOR,
    VIRTUAL_MACHINE_CONTRIBUTOR,
)
BUILTIN_ROLES = (ACCESS_APPROVER, EMERGENCY_ACCESS, *AZURE_ROLES)
