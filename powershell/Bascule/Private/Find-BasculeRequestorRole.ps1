function Find-BasculeRequestorRole {
    <#
    .SYNOPSIS
    The role of that name, when it allows just what a requestor's does; nothing when there is none.
    .NOTES
    Throws RoleDefinitionWithSameNameExists for one that allows something else.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Name,
        [switch] $ForApiOnly
    )
    $ErrorActionPreference = 'Stop'
    $query = @{ '$filter' = "roleName eq '{0}'" -f $Name.Replace("'", "''") }
    $path = '/providers/Microsoft.Authorization/roleDefinitions'
    $found = @(Invoke-BasculeApi -Method GET -Path $path -Query $query -AllPages)
    if ($found.Count -eq 0) {
        return
    }
    $wanted = @(Get-BasculeRequestorAction -ForApiOnly:$ForApiOnly | Sort-Object) -join "`n"
    $permissions = @($found[0].properties.permissions)
    $isSame = $permissions.Count -eq 1 -and @($permissions[0].notActions).Count -eq 0 -and
    (@($permissions[0].actions | Sort-Object) -join "`n") -ceq $wanted
    if (-not $isSame) {
        throw (New-BasculeErrorRecord -Code 'RoleDefinitionWithSameNameExists' -Category ResourceExists -Message (
                "The role '$(Protect-BasculeText -Text $Name)' exists already and allows something else. It was not changed."
            ) -Target $Name -Advice 'Choose another name: -Name NAME.')
    }
    $found[0]
}
