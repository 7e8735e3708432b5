function Get-BasculeSubscriptionPath {
    <#
    .SYNOPSIS
    The path of the context's subscription, /subscriptions/ID; throws NotConnected.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param()
    $ErrorActionPreference = 'Stop'
    Assert-BasculeConnection
    '/subscriptions/{0}' -f $script:Context.SubscriptionId
}
