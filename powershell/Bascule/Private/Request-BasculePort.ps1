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
        [string] $Justification = '',
        [string] $UpTo = '',  # ISO 8601
        [bool] $IsEmergency = $false
    )
    $ErrorActionPreference = 'Stop'
    $port = @{ number = $Choice.Port; duration = $Duration }
    if ($UpTo) {
        $port['upTo'] = $UpTo
    }
    $body = @{ virtualMachines = @(@{ id = $Machine.id; ports = @($port) }) }
    $extra = Get-BasculeRequestExtra -IsEmergency $IsEmergency -Justification $Justification
    if ($extra.Count) {
        $body['bascule'] = $extra
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
    $state = Get-BasculeProperty -InputObject $answer.bascule -Name 'state'
    if ($state -eq 'waiting') {
        Write-Warning -Message (
            "Request $($answer.bascule.requestId) waits for approval; this goes on by itself when it is approved. " +
            "To take it back: Stop-BasculeAccessRequest -Id $($answer.bascule.requestId)"
        )
        $approval = @{
            RequestId      = $answer.bascule.requestId
            While          = 'waiting'
            TimeoutSeconds = 172800
            Activity       = "Waiting for approval of $($Machine.name) port $($Choice.Port)"
        }
        $null = Wait-BasculeRequestState @approval
    }
    $request = Wait-BasculeRequestState @wait
    $problem = New-BasculeUnopenedError -Request $request
    if ($null -ne $problem) {
        throw $problem
    }
    $request.Ports | Where-Object -FilterScript { $_.Protocol -ne 'UDP' } | Select-Object -First 1
}
