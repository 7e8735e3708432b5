function Get-BasculeToken {
    <#
    .SYNOPSIS
    The session's access token; a new one when it ends within a minute, or was refused.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [switch] $IsRefused
    )
    $ErrorActionPreference = 'Stop'
    $session = $script:Session
    $isFresh = $session.AccessToken -and [System.DateTime]::UtcNow -lt $session.ExpiresAt.AddSeconds(-60)
    if ($IsRefused -or -not $isFresh) {
        Update-BasculeToken -Session $session -Form (Get-BasculeGrantForm -Session $session)
    }
    $session.AccessToken
}
