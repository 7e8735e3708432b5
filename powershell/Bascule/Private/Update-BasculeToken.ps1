function Update-BasculeToken {
    <#
    .SYNOPSIS
    Asks the token endpoint with a form and puts what it gives into the session.
    .NOTES
    RFC 6749 sections 4.4 and 6. A refusal's error is its code; the words are the server's.
    #>
    [CmdletBinding(SupportsShouldProcess = $false)]
    param(
        [Parameter(Mandatory)] [hashtable] $Session,
        [Parameter(Mandatory)] [hashtable] $Form
    )
    $ErrorActionPreference = 'Stop'
    $askedAt = [System.DateTime]::UtcNow
    $answer = Send-BasculeTokenRequest -Session $Session -Page 'token' -Form $Form
    $token = Get-BasculeProperty -InputObject $answer.Data -Name 'access_token'
    if ($answer.Status -ne 200 -or -not $token) {
        throw (New-BasculeSignInError -Answer $answer -Session $Session)
    }
    $Session.AccessToken = [string] $token
    $Session.ExpiresAt = $askedAt.AddSeconds([double] (Get-BasculeProperty -InputObject $answer.Data -Name 'expires_in'))
    $idToken = [string] (Get-BasculeProperty -InputObject $answer.Data -Name 'id_token')
    if ($idToken) {
        $Session.IdToken = $idToken
    }
    $refresh = [string] (Get-BasculeProperty -InputObject $answer.Data -Name 'refresh_token')
    if ($refresh) {
        $Session.RefreshToken = $refresh
        if ($Session.Vault) {
            Save-BasculeSignIn -Session $Session
        }
    }
}
