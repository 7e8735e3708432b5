function Restore-BasculeSignIn {
    <#
    .SYNOPSIS
    Signs in by what the vault keeps; true when that worked.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    if (-not (Get-Command -Name Set-Secret -ErrorAction Ignore)) {
        throw (New-BasculeErrorRecord -Code 'SecretManagementMissing' -Category NotInstalled -Message (
                '-SaveTo needs the module Microsoft.PowerShell.SecretManagement, which is not here.'
            ) -Target $Session.Vault -Advice (
                'Install-Module -Name Microsoft.PowerShell.SecretManagement and register a vault; or leave ' +
                '-SaveTo away: the sign-in then lasts as long as this session.'
            ))
    }
    $kept = Get-Secret -Vault $Session.Vault -Name (Get-BasculeVaultName -Session $Session) -ErrorAction Ignore
    if ($kept -isnot [securestring]) {
        return $false
    }
    $Session.RefreshToken = ConvertFrom-BasculeSecret -Secret $kept
    try {
        Update-BasculeToken -Session $Session -Form (Get-BasculeGrantForm -Session $Session)
    } catch {
        if ([string] $_.Exception.Data['Code'] -ne 'invalid_grant') {
            throw
        }
        $Session.RefreshToken = ''  # ended or revoked: sign in anew
        return $false
    }
    $true
}
