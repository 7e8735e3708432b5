function Wait-BasculeRequestState {
    <#
    .SYNOPSIS
    Looks at a request until none of its ports is in the states given, or the time is over;
    returns it as it is then.
    .NOTES
    The server answers a long-poll as soon as no port is opening (closing). While a port is
    open it answers at once, so then there is a pause between two looks.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory)] [string] $RequestId,
        [Parameter(Mandatory)] [string[]] $While,
        [Parameter(Mandatory)] [double] $TimeoutSeconds,
        [string] $Activity = ''  # said by Write-Progress; empty: nothing is
    )
    $ErrorActionPreference = 'Stop'
    $path = '{0}/{1}' -f (Get-BasculeRequestCollection), $RequestId
    $for = if ($While -contains 'closing') { 'closed' } else { 'opened' }
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $wait = 0  # the first look is for what is settled already
    try {
        while ($true) {
            $query = if ($wait -gt 0) { @{ waitSeconds = $wait; waitFor = $for } } else { @{} }
            $asked = $watch.Elapsed
            $request = Invoke-BasculeApi -Method GET -Path $path -Query $query | ConvertTo-BasculeAccessRequest
            $left = $TimeoutSeconds - $watch.Elapsed.TotalSeconds
            if ($left -le 0 -or -not ($request.Ports.State | Where-Object -FilterScript { $_ -in $While })) {
                return $request
            }
            if ($Activity) {
                $share = [int] [System.Math]::Min(100, 100 * $watch.Elapsed.TotalSeconds / $TimeoutSeconds)
                Write-Progress -Activity $Activity -Status "it is $($request.State)" -PercentComplete $share `
                    -SecondsRemaining ([int] $left)
            }
            if ($wait -gt 0 -and ($watch.Elapsed - $asked).TotalSeconds -lt 0.5) {
                Start-Sleep -Milliseconds ([int] (1000 * [System.Math]::Min(1, $left)))
            }
            $wait = [int] [System.Math]::Max(1, [System.Math]::Min(5, [System.Math]::Floor($left)))
        }
    } finally {
        if ($Activity) {
            Write-Progress -Activity $Activity -Completed
        }
    }
}
