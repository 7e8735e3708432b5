function Get-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Gets access requests: who requested which ports, why, and whether they are open.
    .DESCRIPTION
    Lists all requests, newest first, or gets those with the given ids. You see your own
    requests, and those for machines whose policies you may read.

    State is the state in which the machine's firewall was last read back: opening, open,
    notConfirmed (open, but its agent is silent), failed, closing, endedNotConfirmed (ended more
    than a minute ago, and its agent is silent) or closed. A request that needs somebody's approval is
    waiting, and then opening, denied, lapsed or withdrawn; Approval says for whom it waits. One with a
    start is scheduled until then; ScheduledStartTimeUtc is its start. IsEmergency: it opened without
    approval; NeedsReview: and nobody has reviewed it. Times are UTC.
    .PARAMETER Id
    A request's id. For a live request its first characters are enough.
    .PARAMETER Machine
    Only requests for this machine, by name or id.
    .PARAMETER Requestor
    Only requests by this principal: me, or a name or id.
    .PARAMETER Live
    Only requests that are waiting, scheduled, opening, open or closing now.
    .PARAMETER WaitingForMe
    Only requests that wait for your approval.
    .PARAMETER NeedsReview
    Only emergency access that nobody has reviewed.
    .EXAMPLE
    Get-BasculeAccessRequest -Live

    Requests that are open now, about to open or waiting for approval.
    .EXAMPLE
    Get-BasculeAccessRequest -WaitingForMe | Select-Object -Property RequestId, Requestor, Justification

    What you are asked to approve.
    .EXAMPLE
    Get-BasculeAccessRequest -Requestor me -Machine web-1

    All your requests for web-1.
    .EXAMPLE
    Get-BasculeAccessRequest -Live | Where-Object { $_.EndTimeUtc -gt [datetime]::UtcNow.AddHours(8) } | Stop-BasculeAccessRequest

    Ends access that would stay open for more than eight further hours.
    .EXAMPLE
    Get-BasculeAccessRequest -NeedsReview | Select-Object -Property RequestId, Requestor, Justification, MayReview

    Emergency access that nobody has reviewed, and whether you may.
    .LINK
    Approve-BasculeAccessRequest
    .LINK
    Confirm-BasculeEmergencyAccess
    .LINK
    Stop-BasculeAccessRequest
    .LINK
    Wait-BasculeAccessRequest
    #>
    [CmdletBinding(DefaultParameterSetName = 'List')]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(ParameterSetName = 'Id', Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [Parameter(ParameterSetName = 'List')] [ValidateNotNullOrEmpty()] [string] $Machine,
        [Parameter(ParameterSetName = 'List')] [ValidateNotNullOrEmpty()] [string] $Requestor,
        [Parameter(ParameterSetName = 'List')] [switch] $Live,
        [Parameter(ParameterSetName = 'List')] [switch] $WaitingForMe,
        [Parameter(ParameterSetName = 'List')] [switch] $NeedsReview
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        if ($PSCmdlet.ParameterSetName -eq 'Id') {
            foreach ($each in $Id) {
                try {
                    $path = '{0}/{1}' -f (Get-BasculeRequestCollection), (Resolve-BasculeRequestId -Id $each)
                    Invoke-BasculeApi -Method GET -Path $path | ConvertTo-BasculeAccessRequest
                } catch {
                    $PSCmdlet.WriteError($_)
                }
            }
            return
        }
        try {
            $clauses = @()
            if ($Live) {
                $clauses += 'live eq true'
            }
            if ($WaitingForMe) {
                $clauses += "waitingFor eq 'me'"
            }
            if ($NeedsReview) {
                $clauses += 'needsReview eq true'
            }
            if ($Machine) {
                $clauses += "machine eq '{0}'" -f (Find-BasculeMachine -Name $Machine).id
            }
            if ($Requestor) {
                $clauses += "requestor eq '{0}'" -f (Resolve-BasculePrincipal -Name $Requestor -AllowMe)
            }
            $query = if ($clauses) { @{ '$filter' = $clauses -join ' and ' } } else { @{} }
            Invoke-BasculeApi -Method GET -Path (Get-BasculeRequestCollection) -Query $query -AllPages |
                ConvertTo-BasculeAccessRequest
        } catch {
            $PSCmdlet.WriteError($_)
        }
    }
}
