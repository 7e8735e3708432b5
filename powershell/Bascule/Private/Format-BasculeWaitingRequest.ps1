function Format-BasculeWaitingRequest {
    <#
    .SYNOPSIS
    Whose request it is, which ports from where, when, for how long, and why, for whoever is asked to confirm an answer.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [psobject] $Request
    )
    $ports = @(
        foreach ($port in $Request.Ports) {
            '{0} port {1} from {2}' -f $port.Machine, $port.Number, ($port.Sources -join ', ')
        }
    )
    $why = if ($Request.Justification) { ": $($Request.Justification)" } else { '' }
    $time = if ($Request.ScheduledStartTimeUtc) { ', to open at {0:yyyy-MM-dd HH:mm:ss} UTC' -f $Request.ScheduledStartTimeUtc } else { '' }
    if ($Request.Approval -and $Request.Approval.AsksForDuration) {
        $time += ", for $(ConvertTo-BasculeDuration -Duration $Request.Approval.AsksForDuration)"
    }
    if ($Request.Approval -and $Request.Approval.AsksForEndUtc) {
        $time += ', until {0:yyyy-MM-dd HH:mm:ss} UTC' -f $Request.Approval.AsksForEndUtc
    }
    if ($Request.Approval -and $Request.Approval.AsksForUpTo) {
        $time += ", with extensions up to $(ConvertTo-BasculeDuration -Duration $Request.Approval.AsksForUpTo)"
    }
    'request {0} of {1} for {2}{3}{4}' -f $Request.RequestId, $Request.Requestor, ($ports -join '; '), $time, $why
}
