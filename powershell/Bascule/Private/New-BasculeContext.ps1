function New-BasculeContext {
    <#
    .SYNOPSIS
    What may be shown of a session: where, who, which subscription. No secret.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Context')]
    param(
        [Parameter(Mandatory)] [hashtable] $Session,
        [Parameter(Mandatory)] [object] $Subscription
    )
    [pscustomobject]@{
        PSTypeName       = 'Bascule.Context'
        Endpoint         = $Session.Endpoint
        Account          = $Session.Account
        AccountType      = $Session.AccountType
        TenantId         = $Session.TenantId
        SubscriptionId   = [string] $Subscription.subscriptionId
        SubscriptionName = [string] (Get-BasculeProperty -InputObject $Subscription -Name 'displayName')
    }
}
