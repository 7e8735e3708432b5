function Get-BasculeGrantForm {
    <#
    .SYNOPSIS
    What the token endpoint is sent for another token of this session.
    .NOTES
    A program has its secret or its certificate, a person a refresh token.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    if ($Session.AccountType -eq 'User') {
        if (-not $Session.RefreshToken) {
            throw (New-BasculeErrorRecord -Code 'NotSignedIn' -Category AuthenticationError -Message (
                    "$($Session.Account) is not signed in any more."
                ) -Target $Session.Endpoint -Advice 'Sign in again: Connect-Bascule.')
        }
        return @{
            grant_type    = 'refresh_token'
            client_id     = $Session.ClientId
            refresh_token = $Session.RefreshToken
            scope         = "$($Session.Endpoint)/.default offline_access openid profile"
        }
    }
    $form = @{
        grant_type = 'client_credentials'
        client_id  = $Session.ClientId
        scope      = "$($Session.Endpoint)/.default"
    }
    if ($null -ne $Session.Certificate) {
        $form['client_assertion_type'] = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
        $form['client_assertion'] = New-BasculeAssertion -Session $Session
    } else {
        $form['client_secret'] = ConvertFrom-BasculeSecret -Secret $Session.ClientSecret
    }
    $form
}
