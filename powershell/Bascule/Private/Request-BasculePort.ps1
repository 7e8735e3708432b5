function Request-BasculePort {
    <#
    .SYNOPSIS
    Asks for one port from here, waits until it is open, returns the grant.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.GrantedPort')]
    param(
        [Parameter(Mandatory)] [object] $Machine,
        [Parameter(Mandatory)] [psobject] $Choice,  # of Select-BasculePolicy
        [Parameter(Mandatory)] [string] $Duration,
        [string] $Justification = ''
    )
    $ErrorActionPreference = 'Stop'
    $body = @{
        virtualMachines = @(@{ id = $Machine.id; ports = @(@{ number = $Choice.Port; duration = $Duration }) })
    }
    if ($Justification) {
        $body['justification'] = $Justification
    }
    $answer = Invoke-BasculeApi -Method POST -Path "$($Choice.PolicyId)/initiate" -Body $body
    $wait = @{
        RequestId      = $answer.bascule.requestId
        While          = 'opening'
        TimeoutSeconds = 75
        Activity       = "Waiting until $($Machine.name) has port $($Choice.Port) open"
    }
    $request = Wait-BasculeRequestState @wait
    $problem = New-BasculeUnopenedError -Request $request
    if ($null -ne $problem) {
        throw $problem
    }
    $request.Ports | Where-Object -FilterScript { $_.Protocol -ne 'UDP' } | Select-Object -First 1
}
