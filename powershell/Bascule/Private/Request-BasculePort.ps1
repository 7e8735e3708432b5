function Request-BasculePort {
    <#
    .SYNOPSIS
    Asks for one port from here, waits for its approval, its start, and until it is open; returns the grant.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.GrantedPort')]
    param(
        [Parameter(Mandatory)] [object] $Machine,
        [Parameter(Mandatory)] [psobject] $Choice,  # of Select-BasculePolicy
        [Parameter(Mandatory)] [string] $Duration,
        [string] $Justification = '',
        [string] $UpTo = '',  # ISO 8601
        [string] $Start = '',  # an instant in UTC; empty: now
        [bool] $IsEmergency = $false
    )
    $ErrorActionPreference = 'Stop'
    $port = @{ number = $Choice.Port; duration = $Duration }
    if ($UpTo) {
        $port['upTo'] = $UpTo
    }
    if ($Start) {  # a request with a start names its sources
        $me = Invoke-BasculeApi -Method GET -Path ('{0}/providers/Bascule.Identity/me' -f (Get-BasculeSubscriptionPath))
        $port['allowedSourceAddressPrefix'] = [string] $me.properties.address
    }
    $body = @{ virtualMachines = @(@{ id = $Machine.id; ports = @($port) }) }
    $extra = Get-BasculeRequestExtra -At $(if ($Start) { $Start }) -IsEmergency $IsEmergency -Justification $Justification
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
    if ($state -in 'waiting', 'scheduled') {
        $for = if ($state -eq 'waiting') { 'approval; this goes on by itself when it is approved' } else { 'its start; this goes on by itself then' }
        $then = if ($Start) { " It opens at $Start." } else { '' }
        Write-Warning -Message (
            "Request $($answer.bascule.requestId) waits for $for.$then " +
            "To take it back: Stop-BasculeAccessRequest -Id $($answer.bascule.requestId)"
        )
        $seconds = 172800
        if ($Start) {  # what is approved waits for its start
            $seconds += [System.Math]::Max(0, ((ConvertFrom-BasculeInstant -Text $Start) - [datetime]::UtcNow).TotalSeconds)
        }
        $before = @{
            RequestId      = $answer.bascule.requestId
            While          = 'waiting', 'scheduled'
            TimeoutSeconds = $seconds
            Activity       = "Waiting for $(if ($state -eq 'waiting') { 'approval' } else { 'the start' }) of $($Machine.name) port $($Choice.Port)"
        }
        $null = Wait-BasculeRequestState @before
    }
    try {
        $request = Wait-BasculeRequestState @wait
    } catch {
        Write-Warning -Message (
            "Request $($answer.bascule.requestId) stands and may still open. " +
            "To end it: Stop-BasculeAccessRequest -Id $($answer.bascule.requestId)"
        )
        throw
    }
    $problem = New-BasculeUnopenedError -Request $request
    if ($null -ne $problem) {
        throw $problem
    }
    Write-BasculeReachWarning -UpTo $UpTo -Duration $Duration -Port $request.Ports
    $request.Ports | Where-Object -FilterScript { $_.Protocol -ne 'UDP' } | Select-Object -First 1
}
