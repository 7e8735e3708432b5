function New-BasculeRequestorRole {
    <#
    .SYNOPSIS
    Makes the least role that can request access, and gives it to somebody.
    .DESCRIPTION
    What Azure's script Set-JitLeastPrivilegedRole does. The role can be assigned everywhere;
    -Machine and -ResourceGroupName say where -AssignTo gives it. A role of that name that allows
    the same is taken as it is; one that allows something else is an error and stays.
    .PARAMETER Name
    The role's name.
    .PARAMETER ForApiOnly
    Leave out what only looking around needs: listing machines, seeing their interfaces. Machines
    are then named by their ids.
    .PARAMETER AssignTo
    A user, group or service principal, by name or id.
    .PARAMETER Machine
    Give it at this machine alone, by name or id.
    .PARAMETER ResourceGroupName
    Give it at this resource group.
    .EXAMPLE
    New-BasculeRequestorRole -WhatIf

    Says what would be made.
    .EXAMPLE
    New-BasculeRequestorRole -AssignTo anna -Machine web-1

    Makes the role, and lets one user ask for web-1.
    .EXAMPLE
    New-BasculeRequestorRole -Name 'Pipelines' -ForApiOnly

    The least that a program needs which knows the ids.
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
                ) -Advice 'Name the one place where the role is given.')
        }
        if (($Machine -or $ResourceGroupName) -and -not $AssignTo) {
            throw (New-BasculeErrorRecord -Code 'NobodyNamed' -Category InvalidArgument -Message (
                    'A place says where to assign, and nobody is named.'
                ) -Advice 'Name somebody too: -AssignTo PRINCIPAL.')
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
