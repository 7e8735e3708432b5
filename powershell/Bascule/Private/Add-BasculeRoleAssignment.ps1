function Add-BasculeRoleAssignment {
    <#
    .SYNOPSIS
    Gives a role at a scope; what is held there already is as good.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Scope,
        [Parameter(Mandatory)] [string] $RoleId,
        [Parameter(Mandatory)] [string] $PrincipalId
    )
    $ErrorActionPreference = 'Stop'
    $role = '{0}/providers/Microsoft.Authorization/roleDefinitions/{1}' -f (Get-BasculeSubscriptionPath), $RoleId
    $assignments = "$Scope/providers/Microsoft.Authorization/roleAssignments"
    $body = @{ properties = @{ roleDefinitionId = $role; principalId = $PrincipalId } }
    try {
        return Invoke-BasculeApi -Method PUT -Path "$assignments/$([guid]::NewGuid())" -Body $body -ApiVersion '2022-04-01'
    } catch {
        if ([string] $_.Exception.Data['Code'] -ne 'RoleAssignmentExists') {
            throw
        }
        $refusal = $_
    }
    $query = @{ '$filter' = "principalId eq '$PrincipalId'" }
    foreach ($held in Invoke-BasculeApi -Method GET -Path $assignments -Query $query -AllPages) {
        if ($held.properties.roleDefinitionId.Split('/')[-1] -eq $RoleId -and $held.properties.scope -eq $Scope) {
            return $held
        }
    }
    throw $refusal
}
