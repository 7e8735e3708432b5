function Wait-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Waits until access requests are confirmed open, or confirmed closed, and returns them.
    .DESCRIPTION
    Open means that the machine's firewall was read back open. A request that fails, is denied, or takes
    too long, is an error and is not returned. One that waits for approval or for its start is waited for as
    well; give it time by -TimeoutSeconds.
    .PARAMETER Id
    A request's id, or requests from Start-AzJitNetworkAccessPolicy or Get-BasculeAccessRequest.
    .PARAMETER Until
    Open (the default) or Closed.
    .PARAMETER TimeoutSeconds
    How long to wait for each. Default: 75, because the server withdraws a request that is not open
    after 60.
    .EXAMPLE
    Get-BasculeAccessRequest -Live -Requestor me | Wait-BasculeAccessRequest

    Waits for all your requests.
    .EXAMPLE
    Get-BasculeAccessRequest -Live -Requestor me | Wait-BasculeAccessRequest -Until Closed -TimeoutSeconds 3600 -ErrorAction SilentlyContinue

    Waits up to an hour until your requests are closed.
    .LINK
    Start-AzJitNetworkAccessPolicy
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding()]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [ValidateSet('Open', 'Closed')] [string] $Until = 'Open',
        [ValidateRange(1, 172800)] [int] $TimeoutSeconds = 75
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
        $states = if ($Until -eq 'Open') { @('waiting', 'scheduled', 'opening') } else { @('waiting', 'scheduled', 'opening', 'open', 'notConfirmed', 'closing', 'endedNotConfirmed') }
    }
    process {
        foreach ($each in $Id) {
            try {
                $requestId = Resolve-BasculeRequestId -Id $each
                $word = $Until.ToLowerInvariant()
                $wait = @{
                    RequestId      = $requestId
                    While          = $states
                    TimeoutSeconds = $TimeoutSeconds
                    Activity       = "Waiting until request $requestId is $word"
                }
                $request = Wait-BasculeRequestState @wait
                if ($Until -eq 'Open') {
                    $problem = New-BasculeUnopenedError -Request $request
                    if ($null -ne $problem) {
                        throw $problem
                    }
                } elseif ($request.Ports.State | Where-Object -FilterScript { $_ -in $states }) {
                    throw (New-BasculeErrorRecord -Code 'WaitTimeout' -Category OperationTimeout -Message (
                            "Request $requestId is still $($request.State) after $TimeoutSeconds s."
                        ) -Target $requestId -Advice "End it now: Stop-BasculeAccessRequest -Id $requestId")
                }
                $request
            } catch {
                $PSCmdlet.WriteError($_)
            }
        }
    }
}
