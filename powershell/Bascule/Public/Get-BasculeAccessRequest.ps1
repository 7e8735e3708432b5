function Get-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Gets access requests: who asked for which ports, why, and whether they are open.
    .DESCRIPTION
    Lists requests, newest first, all pages of them; or gets those of the ids given. You see
    your own, and those of machines whose policies you may read.

    State is what the machine's firewall was last read back as: opening, open, notConfirmed
    (its agent is silent), failed, closing, endedNotConfirmed (over for a minute, and its
    agent is silent), closed. Times are UTC.
    .PARAMETER Id
    A request's id, whole or, of one that is live, its first characters.
    .PARAMETER Machine
    Only requests for this machine, by name or id.
    .PARAMETER Requestor
    Only requests of this one: me, or a name or id.
    .PARAMETER Live
    Only those that are opening, open or closing now.
    .EXAMPLE
    Get-BasculeAccessRequest -Live

    What is open now, or about to be.
    .EXAMPLE
    Get-BasculeAccessRequest -Requestor me -Machine web-1

    All that you ever asked for on web-1.
    .EXAMPLE
    Get-BasculeAccessRequest -Live | Where-Object { $_.EndTimeUtc -gt [datetime]::UtcNow.AddHours(8) } | Stop-BasculeAccessRequest

    Ends whatever would stay open for more than eight hours yet.
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
        [Parameter(ParameterSetName = 'List')] [switch] $Live
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
