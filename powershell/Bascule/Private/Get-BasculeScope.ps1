function Get-BasculeScope {
    <#
    .SYNOPSIS
    The path of the subscription that is meant: that of -DefaultProfile, or the context's.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [object] $DefaultProfile = $null
    )
    $ErrorActionPreference = 'Stop'
    if ($null -eq $DefaultProfile) {
        return Get-BasculeSubscriptionPath
    }
    Assert-BasculeConnection
    $endpoint = [string] (Get-BasculeProperty -InputObject $DefaultProfile -Name 'Endpoint')
    $subscription = [string] (Get-BasculeProperty -InputObject $DefaultProfile -Name 'SubscriptionId')
    if ($endpoint -ne $script:Session.Endpoint -or -not $subscription) {
        throw (New-BasculeErrorRecord -Code 'InvalidDefaultProfile' -Category InvalidArgument -Message (
                'DefaultProfile is not a context of the server that this session is connected to.'
            ) -Advice 'Omit it, or give a context that Get-BasculeContext returned in this session.')
    }
    "/subscriptions/$subscription"
}
