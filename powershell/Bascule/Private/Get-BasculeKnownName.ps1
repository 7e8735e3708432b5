function Get-BasculeKnownName {
    <#
    .SYNOPSIS
    Names of machines, policies or locations, as many as two seconds bring.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [string] $Kind
    )
    $ErrorActionPreference = 'Stop'
    $session = $script:Session
    if ($null -eq $session -or -not $session.AccessToken -or [System.DateTime]::UtcNow -ge $session.ExpiresAt) {
        return
    }
    $key = '{0} {1} {2}' -f $session.Endpoint, $script:Context.SubscriptionId, $Kind
    $kept = $script:KnownNames
    if ($null -ne $kept -and $kept.Key -eq $key -and $kept.Watch.Elapsed.TotalSeconds -lt 10) {
        return $kept.Names
    }
    $path = Get-BasculeSubscriptionPath
    $path += @{
        Machine  = '/providers/Microsoft.Compute/virtualMachines'
        Policy   = '/providers/Microsoft.Security/jitNetworkAccessPolicies'
        Location = '/providers/Microsoft.Security/locations'
    }[$Kind]
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $uri = Get-BasculeUri -Path $path -Query @{ 'api-version' = '2020-01-01' }
    $names = @()
    while ($uri -and $watch.Elapsed.TotalSeconds -lt 2) {
        $answer = Send-BasculeRequest -Method GET -Uri $uri -Token $session.AccessToken -TimeoutSeconds 2
        $page = Read-BasculeAnswer -Answer $answer -Path $path
        $names += @(Get-BasculeProperty -InputObject $page -Name 'value') | ForEach-Object -Process { [string] $_.name }
        $link = [string] (Get-BasculeProperty -InputObject $page -Name 'nextLink')
        $uri = if ($link) { $session.Endpoint + ([System.Uri] $link).PathAndQuery } else { '' }
    }
    # A name from a server is completed only if it can be typed as it stands.
    $names = @($names | Where-Object -FilterScript { $_ -cmatch '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z' } | Sort-Object -Unique)
    $script:KnownNames = @{ Key = $key; Names = $names; Watch = $watch }
    $names
}
