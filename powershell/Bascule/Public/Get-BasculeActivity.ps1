function Get-BasculeActivity {
    <#
    .SYNOPSIS
    Gets the activity log: who did what, from where, when. Suited to Export-Csv.
    .DESCRIPTION
    All entries, newest first. As in Azure, a call has two entries with the same CorrelationId:
    Started, then Accepted, Succeeded or Failed. An event without a call has one entry.

    Every property is text that is safe in a spreadsheet: text that would run as a formula gets a
    leading apostrophe, and control characters are removed. At is UTC and can be sorted as text.
    .PARAMETER Machine
    Only entries about this machine, by name or id.
    .PARAMETER Caller
    Only entries caused by this principal: a person's name, or a service principal's name or id.
    .PARAMETER Operation
    Operations by name, with wildcards: 'Initiate JIT Network Access Policy', 'Open port', *JIT*;
    or as roles name them, Microsoft.Security/*.
    .PARAMETER Status
    Started, Accepted, Succeeded or Failed.
    .PARAMETER From
    Only entries since then. Default: seven days ago; with -Follow, now.
    .PARAMETER To
    Only entries before then.
    .PARAMETER Follow
    Keep showing new entries, oldest first, until Ctrl+C. Waits for a server that is away.
    .EXAMPLE
    Get-BasculeActivity -Machine web-1 -From (Get-Date).AddDays(-30) | Export-Csv -Path web-1.csv -NoTypeInformation

    Exports the last month of one machine for a spreadsheet.
    .EXAMPLE
    Get-BasculeActivity -Status Failed | Group-Object -Property Caller -NoElement

    Shows who was refused this week, and how often.
    .EXAMPLE
    Get-BasculeActivity -Operation 'Open port' | Select-Object -First 5

    The last five openings.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Activity')]
    param(
        [Parameter(Position = 0, ValueFromPipelineByPropertyName)] [Alias('Name')] [ValidateNotNullOrEmpty()] [string] $Machine,
        [ValidateNotNullOrEmpty()] [string] $Caller,
        [SupportsWildcards()] [ValidateNotNullOrEmpty()] [string] $Operation = '*',
        [ValidateSet('Started', 'Accepted', 'Succeeded', 'Failed')] [string] $Status,
        [Alias('StartTime')] [datetime] $From,
        [Alias('EndTime')] [datetime] $To,
        [switch] $Follow
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            $clauses = @()
            if ($PSBoundParameters.ContainsKey('To')) {
                $clauses += "eventTimestamp le '{0}'" -f $To.ToUniversalTime().ToString('o')
            }
            if ($Machine) {
                $clauses += "resourceUri eq '{0}'" -f (Find-BasculeMachine -Name $Machine).id
            }
            if ($Caller) {
                $clauses += "caller eq '{0}'" -f $Caller.Replace("'", "''")
            }
            if ($Status) {
                $clauses += "status eq '$Status'"
            }
            $since = [System.DateTime]::UtcNow
            if ($PSBoundParameters.ContainsKey('From')) {
                $since = $From.ToUniversalTime()
            } elseif (-not $Follow) {
                $since = $since.AddDays(-7)
            }
            if ($Follow) {
                Watch-BasculeActivity -Since $since -Clause $clauses -Operation $Operation
            } else {
                Read-BasculeActivity -Since $since -Clause $clauses -Operation $Operation
            }
        } catch {
            $PSCmdlet.WriteError($_)
        }
    }
}
