function Add-BasculeRequestorRole {
    <#
    .SYNOPSIS
    Makes the role definition, assignable everywhere.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Name,
        [switch] $ForApiOnly
    )
    $ErrorActionPreference = 'Stop'
    $whole = Get-BasculeSubscriptionPath
    $body = @{
        properties = @{
            roleName         = $Name
            description      = 'Users that can enable access to Virtual Machines.'
            type             = 'CustomRole'
            permissions      = @(
                @{
                    actions        = @(Get-BasculeRequestorAction -ForApiOnly:$ForApiOnly)
                    notActions     = @()
                    dataActions    = @()
                    notDataActions = @()
                }
            )
            assignableScopes = @($whole)
        }
    }
    $path = "$whole/providers/Microsoft.Authorization/roleDefinitions/$([guid]::NewGuid())"
    Invoke-BasculeApi -Method PUT -Path $path -Body $body -ApiVersion '2022-04-01'
}
