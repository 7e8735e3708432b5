function Get-BasculeRequestorAction {
    <#
    .SYNOPSIS
    What requesting takes (CONTRACT 2.8), and what looking around takes beside it.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [switch] $ForApiOnly
    )
    'Microsoft.Security/locations/jitNetworkAccessPolicies/read'
    'Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action'
    'Microsoft.Security/policies/read'
    'Microsoft.Network/publicIPAddresses/read'
    if (-not $ForApiOnly) {
        'Microsoft.Compute/virtualMachines/read'
        'Microsoft.Network/networkInterfaces/*/read'
    }
}
