function Get-BasculeActivity {
    <#
    .SYNOPSIS
    Gets the activity log: who did what, from where, when; made for Export-Csv.
    .DESCRIPTION
    Newest first, all pages. A call has two entries with one CorrelationId, as in Azure: Started,
    and then Accepted, Succeeded or Failed; what happens by itself has one.

    Every property is a text, safe in a spreadsheet: what it would run as a formula has an
    apostrophe before it, and control characters are out. At is UTC and sorts as it stands.
    .PARAMETER Machine
    What concerns this machine, by name or id.
    .PARAMETER Caller
    What this one did: a person's name, a name or an id of a service principal.
    .PARAMETER Operation
    Operations by name, with wildcards: 'Initiate JIT Network Access Policy', 'Open port', *JIT*;
    or as roles name them, Microsoft.Security/*.
    .PARAMETER Status
    Started, Accepted, Succeeded or Failed.
    .PARAMETER From
    From then on. Default: seven days ago; with -Follow, now.
    .PARAMETER To
    Until then.
    .PARAMETER Follow
    Go on with what happens, oldest first, until Ctrl+C; a server that is away is waited for.
    .EXAMPLE
    Get-BasculeActivity -Machine web-1 -From (Get-Date).AddDays(-30) | Export-Csv -Path web-1.csv -NoTypeInformation

    A month of one machine, for a spreadsheet.
    .EXAMPLE
    Get-BasculeActivity -Status Failed | Group-Object -Property Caller -NoElement

    Who was refused this week, and how often.
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
