function Invoke-BasculeApi {
    <#
    .SYNOPSIS
    Calls the connected server; returns its parsed answer, or throws an ErrorRecord.
    .DESCRIPTION
    Path is the absolute path in plain text; each of its segments is escaped here. Instants in
    the answer stay strings. Without ApiVersion the provider's own is sent. AllPages returns
    the items of every page of a list; links are followed on our own endpoint alone, so that no
    answer can lead the token elsewhere.

    A token that the server no longer takes is asked for anew, once. Nothing else is tried
    twice: after a call that changes something and did not come back, the error says so.
    A query's waitSeconds is how long the server may take on purpose.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)]
        [ValidateSet('GET', 'PUT', 'POST', 'PATCH', 'DELETE')] [string] $Method,
        [Parameter(Mandatory)] [string] $Path,
        [hashtable] $Query = @{},
        [object] $Body = $null,
        [string] $ApiVersion = '',
        [switch] $AllPages
    )
    $ErrorActionPreference = 'Stop'
    Assert-BasculeConnection
    if (-not $ApiVersion) {
        $isAzures = $Path -match '/providers/Microsoft\.Security/'
        $ApiVersion = if ($isAzures) { '2020-01-01' } else { '2026-11-01' }
    }
    $asked = @{ 'api-version' = $ApiVersion } + $Query
    $call = @{
        Method         = $Method
        Uri            = Get-BasculeUri -Path $Path -Query $asked
        TimeoutSeconds = 60 + [int] $(if ($Query.ContainsKey('waitSeconds')) { $Query['waitSeconds'] })
    }
    if ($null -ne $Body) {
        $call['Json'] = ConvertTo-Json -InputObject $Body -Depth 20 -Compress
    }
    while ($true) {
        $answer = Send-BasculeRequest @call -Token (Get-BasculeToken)
        if ($answer.Status -eq 401) {
            $answer = Send-BasculeRequest @call -Token (Get-BasculeToken -IsRefused)
        }
        $data = Read-BasculeAnswer -Answer $answer -Path $Path
        if (-not $AllPages) {
            return $data
        }
        $page = if ($null -eq $data) { @() } else { @(Get-BasculeProperty -InputObject $data -Name 'value') }
        $page | Where-Object -FilterScript { $null -ne $_ }
        $link = [string] (Get-BasculeProperty -InputObject $data -Name 'nextLink')
        if (-not $link) {
            return
        }
        $call['Uri'] = $script:Session.Endpoint + ([System.Uri] $link).PathAndQuery
    }
}
