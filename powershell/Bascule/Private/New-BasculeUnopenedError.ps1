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
            $name = '{0} port {1}/{2}' -f $port.Machine, $port.Number, $port.Protocol.ToLowerInvariant()
            switch ($port.State) {
                'open' { }
                'notConfirmed' { }
                'failed' {
                    $why = if ($port.Failure) { $port.Failure } else { 'its agent did not report it in force' }
                    "$name did not open: $why"
                }
                'opening' { "$name was not reported open in time" }
                default { "$name is $($port.State): $($port.StatusReason)" }
            }
        }
    )
    if ($reasons.Count -eq 0) {
        return
    }
    $isLate = $Request.Ports.State -contains 'opening'
    $category = if ($isLate) { 'OperationTimeout' } else { 'ResourceUnavailable' }
    $code = if ($isLate) { 'WaitTimeout' } else { 'NotOpen' }
    New-BasculeErrorRecord -Code $code -Category $category -Message ($reasons -join '; ') -Target $Request.RequestId -Advice (
        "To see its agent: Get-BasculeMachine -Name $($Request.Ports[0].Machine)"
    )
}
