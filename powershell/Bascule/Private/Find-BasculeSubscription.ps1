function Find-BasculeSubscription {
    <#
    .SYNOPSIS
    The subscription that is meant, by its id or its name; without either, the first one seen.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [hashtable] $Session,
        [AllowEmptyString()] [string] $Wanted = ''
    )
    $ErrorActionPreference = 'Stop'
    $uri = "$($Session.Endpoint)/subscriptions?api-version=2022-12-01"
    $answer = Send-BasculeRequest -Session $Session -Method GET -Uri $uri -Token $Session.AccessToken
    $data = Read-BasculeAnswer -Answer $answer -Path '/subscriptions'
    $seen = @(Get-BasculeProperty -InputObject $data -Name 'value')
    $meant = @($seen | Where-Object -FilterScript {
            -not $Wanted -or $_.subscriptionId -eq $Wanted -or
            (Get-BasculeProperty -InputObject $_ -Name 'displayName') -eq $Wanted
        })
    if ($meant.Count -gt 0) {
        return $meant[0]
    }
    $message = if ($Wanted) {
        "There is no subscription '$Wanted' that this account may see."
    } else {
        'This account may see no subscription: it holds no role yet.'
    }
    $advice = if ($seen.Count -gt 0) {
        "It may see: $(@($seen | ForEach-Object -Process { $_.subscriptionId }) -join ', ')."
    } else {
        'Ask an administrator for a role: bascule role assign.'
    }
    throw (New-BasculeErrorRecord -Code 'SubscriptionNotFound' -Category ObjectNotFound -Message $message `
            -Advice $advice -Target $Session.Endpoint)
}
