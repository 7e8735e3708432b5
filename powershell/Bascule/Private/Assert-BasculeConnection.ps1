function Assert-BasculeConnection {
    <#
    .SYNOPSIS
    Throws NotConnected when Connect-Bascule has not been called.
    #>
    [CmdletBinding()]
    param()
    $ErrorActionPreference = 'Stop'
    if ($null -eq $script:Session) {
        throw (New-BasculeErrorRecord -Code 'NotConnected' -Category ConnectionError -Message (
                'There is no connection to a Bascule server in this session.'
            ) -Advice 'Connect first: Connect-Bascule -Endpoint https://HOST:8443 -CaFile ca.pem')
    }
}
