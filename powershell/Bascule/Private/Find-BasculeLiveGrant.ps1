function Find-BasculeLiveGrant {
    <#
    .SYNOPSIS
    The longest of my grants that lets this host in to a machine's port for half a minute yet.
    .NOTES
    This host is the address that the server sees, or another one that can be bound here. What a run of
    bascule ssh --close opened does not count, because the end of that run closes it: a new request takes its place.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.GrantedPort')]
    param(
        [Parameter(Mandatory)] [string] $MachineId,
        [Parameter(Mandatory)] [int] $Port,
        [int] $Family = 0  # 4 or 6; 0 is either
    )
    $ErrorActionPreference = 'Stop'
    $query = @{ '$filter' = "live eq true and machine eq '$MachineId' and requestor eq 'me'" }
    $mine = @(Invoke-BasculeApi -Method GET -Path (Get-BasculeRequestCollection) -Query $query -AllPages |
            Where-Object -FilterScript { -not (Get-BasculeProperty -InputObject $_.properties -Name 'closesUnused') })
    if ($mine.Count -eq 0) {
        return
    }
    $me = Invoke-BasculeApi -Method GET -Path ('{0}/providers/Bascule.Identity/me' -f (Get-BasculeSubscriptionPath))
    $caller = $null
    $null = [System.Net.IPAddress]::TryParse([string] $me.properties.address, [ref] $caller)
    $least = [System.DateTime]::UtcNow.AddSeconds(30)
    $mine | ConvertTo-BasculeAccessRequest | ForEach-Object -Process { $_.Ports } | Where-Object -FilterScript {
        $_.MachineId -eq $MachineId -and $_.Number -eq $Port -and $_.Protocol -ne 'UDP' -and
        $_.State -in 'open', 'notConfirmed' -and $_.EndTimeUtc -ge $least -and
        (Test-BasculeSourceIsHere -Source $_.Sources -Caller $caller -Family $Family)
    } | Sort-Object -Property EndTimeUtc -Descending | Select-Object -First 1
}
