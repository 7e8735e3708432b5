function Get-BasculeRequestCollection {
    <#
    .SYNOPSIS
    The path of the access requests.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param()
    $ErrorActionPreference = 'Stop'
    '{0}/providers/Bascule.Access/accessRequests' -f (Get-BasculeSubscriptionPath)
}
