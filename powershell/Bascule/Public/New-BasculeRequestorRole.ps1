function New-BasculeRequestorRole {
    <#
    .SYNOPSIS
    Creates the least powerful role that can request access, and can assign it.
    .DESCRIPTION
    Like Azure's script Set-JitLeastPrivilegedRole. The role can be assigned everywhere;
    -Machine and -ResourceGroupName limit where -AssignTo assigns it. An existing role with this
    name and the same actions is used as it is. If it has other actions, that is an error, and the
    role is not changed.
    .PARAMETER Name
    The role's name.
    .PARAMETER ForApiOnly
    Omit permissions needed only for browsing: listing machines and seeing their interfaces.
    Holders of the role then give machines by id.
    .PARAMETER AssignTo
    Assign the role to this user, group or service principal, by name or id.
    .PARAMETER Machine
    Assign it only at this machine, by name or id.
    .PARAMETER ResourceGroupName
    Assign it only at this resource group.
    .EXAMPLE
    New-BasculeRequestorRole -WhatIf

    Shows what would be created.
    .EXAMPLE
    New-BasculeRequestorRole -AssignTo anna -Machine web-1

    Creates the role, and lets one user request access to web-1.
    .EXAMPLE
    New-BasculeRequestorRole -Name 'Pipelines' -ForApiOnly

    Creates the least powerful role for a program that knows the ids.
    .LINK
    Start-AzJitNetworkAccessPolicy
    #>
    [CmdletBinding(SupportsShouldProcess)]
    [OutputType('Bascule.RequestorRole')]
    param(
        [ValidateNotNullOrEmpty()] [string] $Name = 'JIT Access Role',
        [switch] $ForApiOnly,
        [ValidateNotNullOrEmpty()] [string] $AssignTo,
        [ValidateNotNullOrEmpty()] [string] $Machine,
        [ValidateNotNullOrEmpty()] [string] $ResourceGroupName
    )
    Import-CallerPreference -Cmdlet $PSCmdlet
    try {
        if ($Machine -and $ResourceGroupName) {
            throw (New-BasculeErrorRecord -Code 'AmbiguousScope' -Category InvalidArgument -Message (
                    'Give -Machine or -ResourceGroupName, not both.'
                ) -Advice 'Give only one place.')
        }
        if (($Machine -or $ResourceGroupName) -and -not $AssignTo) {
            throw (New-BasculeErrorRecord -Code 'NobodyNamed' -Category InvalidArgument -Message (
                    'A place was given, but nobody to assign the role to.'
                ) -Advice 'Give -AssignTo PRINCIPAL too.')
        }
        # What is named is looked up first, so that a wrong name makes nothing.
        $whole = Get-BasculeSubscriptionPath
        $scope = $whole
        if ($Machine) {
            $scope = (Find-BasculeMachine -Name $Machine).id
        } elseif ($ResourceGroupName) {
            $scope = "$whole/resourceGroups/$ResourceGroupName"
        }
        $principal = if ($AssignTo) { Resolve-BasculePrincipal -Name $AssignTo } else { '' }
        $role = Find-BasculeRequestorRole -Name $Name -ForApiOnly:$ForApiOnly
        if ($null -eq $role) {
            if (-not $PSCmdlet.ShouldProcess($whole, "Make the role '$Name'")) {
                return
            }
            $role = Add-BasculeRequestorRole -Name $Name -ForApiOnly:$ForApiOnly
        }
        $given = $null
        if ($principal -and $PSCmdlet.ShouldProcess($scope, "Assign '$Name' to $AssignTo")) {
            $given = Add-BasculeRoleAssignment -Scope $scope -RoleId $role.name -PrincipalId $principal
        }
    } catch {
        $PSCmdlet.WriteError($_)
        return
    }
    [pscustomobject]@{
        PSTypeName   = 'Bascule.RequestorRole'
        Name         = Protect-BasculeText -Text $role.properties.roleName
        Actions      = @($role.properties.permissions[0].actions)
        AssignedTo   = $(if ($given) { [string] $given.properties.principalId })
        Scope        = $(if ($given) { [string] $given.properties.scope })
        AssignmentId = $(if ($given) { [string] $given.name })
        RoleId       = [string] $role.name
    }
}
