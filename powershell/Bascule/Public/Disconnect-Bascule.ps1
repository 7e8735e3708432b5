function Disconnect-Bascule {
    <#
    .SYNOPSIS
    Signs out and deletes the tokens, also from a vault.
    .DESCRIPTION
    A person's sign-in is revoked on the server. If that fails, the tokens are deleted here all
    the same, and an error says so. Without a connection the cmdlet does nothing. Open access
    stays open until its end; to end it early, use Stop-BasculeAccessRequest.
    .EXAMPLE
    Disconnect-Bascule

    Ends the connection of this session.
    #>
    [CmdletBinding(PositionalBinding = $false)]
    param()
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        $session = $script:Session
        if ($null -eq $session) {
            return
        }
        $script:Session = $null
        $script:Context = $null
        try {
            $failures = @(
                try {
                    if ($session.Vault) {
                        $null = Remove-Secret -Vault $session.Vault -Name (Get-BasculeVaultName -Session $session) `
                            -ErrorAction Stop -WhatIf:$false -Confirm:$false
                    }
                } catch {
                    $_
                }
                try {
                    if ($session.RefreshToken) {
                        Revoke-BasculeSignIn -Session $session
                    }
                } catch {
                    $_
                }
            )
        } finally {
            $session.Client.Dispose()
        }
        foreach ($failure in $failures) {
            $PSCmdlet.WriteError($failure)
        }
    }
}
