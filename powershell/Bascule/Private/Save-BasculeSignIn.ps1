function Save-BasculeSignIn {
    <#
    .SYNOPSIS
    Puts the refresh token into the session's vault of SecretManagement.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    $secret = ConvertTo-SecureString -String $Session.RefreshToken -AsPlainText -Force
    Set-Secret -Vault $Session.Vault -Name (Get-BasculeVaultName -Session $Session) -SecureStringSecret $secret `
        -WhatIf:$false -Confirm:$false
}
