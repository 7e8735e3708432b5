function New-BasculeUnopenedError {
    <#
    .SYNOPSIS
    The ErrorRecord for a request whose ports are not all open; nothing when they are.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory)] [psobject] $Request
    )
    $reasons = @(
        foreach ($port in $Request.Ports) {
            $name = ('{0} port {1}/{2}' -f $port.Machine, $port.Number, $port.Protocol.ToLowerInvariant()).TrimEnd('/')
            switch ($port.State) {
                'open' { }
                'notConfirmed' { }
                'failed' {
                    $why = if ($port.Failure) { $port.Failure } else { 'its agent did not report it in force' }
                    "$name did not open: $why"
                }
                'opening' { "$name was not reported open in time" }
                'scheduled' { "$name opens at $('{0:yyyy-MM-dd HH:mm:ss}' -f $Request.ScheduledStartTimeUtc) UTC" }
                'waiting' { "$name still waits for approval" }
                'denied' {
                    $by = if ($Request.Approval -and $Request.Approval.DeniedBy) { " by $($Request.Approval.DeniedBy)" } else { '' }
                    $why = if ($by) { $Request.Approval.DenialReason } else { $Request.Reasons -join ' ' }
                    "$name was denied${by}: $why"
                }
                'lapsed' {
                    if ($Request.Reasons) { "the request for $name lapsed: $($Request.Reasons -join ' ')" }
                    else { "nobody decided about $name in time" }
                }
                'withdrawn' { "the request for $name was withdrawn" }
                default { "$name is $($port.State): $($port.StatusReason)" }
            }
        }
    )
    if ($reasons.Count -eq 0) {
        return
    }
    $isLate = [bool] ($Request.Ports.State | Where-Object -FilterScript { $_ -in 'opening', 'waiting', 'scheduled' })
    $category = if ($isLate) { 'OperationTimeout' } else { 'ResourceUnavailable' }
    $code = switch ($Request.State) {
        'denied' { 'ApprovalDenied' }
        { $_ -in 'lapsed', 'withdrawn' } { 'ApprovalLapsed' }
        default { if ($isLate) { 'WaitTimeout' } else { 'NotOpen' } }
    }
    New-BasculeErrorRecord -Code $code -Category $category -Message ($reasons -join '; ') -Target $Request.RequestId -Advice (
        "To see its agent: Get-BasculeMachine -Name $($Request.Ports[0].Machine)"
    )
}
