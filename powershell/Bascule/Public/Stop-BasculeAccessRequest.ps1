function Stop-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Ends access requests early: their ports close at once.
    .DESCRIPTION
    Revokes each request, waits up to eight seconds until the machine's firewall was read back
    closed, and returns the request as it is then. You may always end your own requests.

    Established sessions continue if the policy says so; -Kill cuts them. Ports.SessionsAlive has
    the number of those that continue, and a warning says so.
    .PARAMETER Id
    A request's id or its first characters, or requests from Get-BasculeAccessRequest.
    .PARAMETER Kill
    Also cut the sessions that it admitted.
    .EXAMPLE
    Get-BasculeAccessRequest -Live -Requestor me | Stop-BasculeAccessRequest

    Ends all your open access.
    .EXAMPLE
    Get-BasculeAccessRequest -Live -Machine web-1 | Stop-BasculeAccessRequest -Kill -Confirm:$false

    Closes web-1 for everybody and ends their sessions.
    .EXAMPLE
    Get-BasculeAccessRequest -Live | Stop-BasculeAccessRequest -WhatIf

    Shows what would be ended, without ending it.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess)]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [switch] $Kill
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        foreach ($each in $Id) {
            try {
                $requestId = Resolve-BasculeRequestId -Id $each
                $path = '{0}/{1}' -f (Get-BasculeRequestCollection), $requestId
                $action = if ($Kill) { 'End access and cut its sessions' } else { 'End access' }
                if (-not $PSCmdlet.ShouldProcess("request $requestId", $action)) {
                    continue
                }
                $null = Invoke-BasculeApi -Method POST -Path "$path/revoke" -Body @{ kill = [bool] $Kill }
                $ended = Wait-BasculeRequestState -RequestId $requestId -While 'closing' -TimeoutSeconds 8
                $ended
                $alive = ($ended.Ports | Measure-Object -Property SessionsAlive -Sum).Sum
                if ($alive -gt 0 -and $Kill) {
                    Write-Warning -Message "Request ${requestId}: $alive of its sessions are not cut yet."
                } elseif ($alive -gt 0) {
                    Write-Warning -Message (
                        "Request ${requestId}: $alive of its sessions continue. " +
                        "To cut them: Stop-BasculeAccessRequest -Id $requestId -Kill"
                    )
                }
                if ($ended.Ports.State -contains 'closing' -or $ended.Ports.State -contains 'endedNotConfirmed') {
                    throw (New-BasculeErrorRecord -Code 'NotReportedClosed' -Category OperationTimeout -Message (
                            "Request $requestId is revoked, but not yet confirmed closed."
                        ) -Target $requestId -Advice 'Its agent may be away (Get-BasculeMachine). The port closes at its end in any case.')
                }
            } catch {
                $PSCmdlet.WriteError($_)
            }
        }
    }
}
