function Connect-BasculePerson {
    <#
    .SYNOPSIS
    Signs a person in: has a code approved on any device (RFC 8628).
    .NOTES
    The page and the code go to the information stream, which shows them at once.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    $start = @{
        client_id = $Session.ClientId
        scope     = "$($Session.Endpoint)/.default offline_access openid profile"
    }
    $begun = Send-BasculeTokenRequest -Session $Session -Page 'devicecode' -Form $start
    if ($begun.Status -ne 200) {
        throw (New-BasculeSignInError -Answer $begun -Session $Session)
    }
    Write-Information -InformationAction Continue -Tags 'BasculeDeviceCode' -MessageData (
        "To sign in, open $($begun.Data.verification_uri) in a browser and enter the code $($begun.Data.user_code)."
    )
    $form = @{
        grant_type  = 'urn:ietf:params:oauth:grant-type:device_code'
        client_id   = $Session.ClientId
        device_code = [string] $begun.Data.device_code
    }
    $interval = [int] $begun.Data.interval
    $endsAt = [datetime]::UtcNow.AddSeconds([double] $begun.Data.expires_in)
    while ([datetime]::UtcNow -lt $endsAt) {
        Start-Sleep -Seconds $interval
        try {
            Update-BasculeToken -Session $Session -Form $form
            return
        } catch {
            switch ([string] $_.Exception.Data['Code']) {
                'authorization_pending' { }
                'slow_down' { $interval += 5 }
                { $_ -in 'ServerUnreachable', 'RequestTimeout' } { }  # away for a moment: the code waits
                default { throw }
            }
        }
    }
    throw (New-BasculeErrorRecord -Code 'expired_token' -Category AuthenticationError -Message (
            'Nobody approved the code in time.'
        ) -Target $Session.Endpoint -Advice 'Begin anew: Connect-Bascule.')
}
