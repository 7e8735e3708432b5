function Watch-BasculeActivity {
    <#
    .SYNOPSIS
    Entries of the activity log as they come, oldest first, without end.
    .NOTES
    An event may be committed a little after a later one: each look goes half a minute back,
    and what was shown already is left out by its id.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Activity')]
    param(
        [Parameter(Mandatory)] [datetime] $Since,
        [AllowEmptyCollection()] [string[]] $Clause = @(),
        [string] $Operation = '*'
    )
    $ErrorActionPreference = 'Stop'
    $shown = @{}  # id: when it happened
    $from = $Since
    $isAway = $false
    while ($true) {
        $newest = @()
        try {
            $newest = @(Read-BasculeActivity -Since $from -Clause $Clause -Operation $Operation)
            $isAway = $false
        } catch {
            $code = [string] $_.Exception.Data['Code']
            if ($code -notin 'ServerUnreachable', 'RequestTimeout', 'ServiceUnavailable') {
                throw
            }
            if (-not $isAway) {
                Write-Warning -Message "$($_.Exception.Message) Waiting for it."
            }
            $isAway = $true
        }
        [array]::Reverse($newest)
        foreach ($entry in $newest) {
            if (-not $shown.ContainsKey($entry.EventId)) {
                $shown[$entry.EventId] = ConvertFrom-BasculeInstant -Text $entry.At
                $entry
            }
        }
        if ($newest.Count -gt 0) {
            $back = (ConvertFrom-BasculeInstant -Text $newest[-1].At).AddSeconds(-30)
            if ($back -gt $from) {
                $from = $back
                foreach ($id in @($shown.Keys)) {
                    if ($shown[$id] -lt $from) { $shown.Remove($id) }
                }
            }
        }
        Start-Sleep -Seconds 1
    }
}
