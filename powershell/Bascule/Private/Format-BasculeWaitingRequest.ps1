function Format-BasculeWaitingRequest {
    <#
    .SYNOPSIS
    Whose request it is, which ports from where, and why, for whoever is asked to confirm an answer.
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
    'request {0} of {1} for {2}{3}' -f $Request.RequestId, $Request.Requestor, ($ports -join '; '), $why
}
