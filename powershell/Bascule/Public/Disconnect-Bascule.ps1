function Disconnect-Bascule {
    <#
    .SYNOPSIS
    Forgets the connection: its tokens, and what a vault keeps of it.
    .DESCRIPTION
    A person's sign-in is revoked on the server; an error says where that failed, and it is
    forgotten here all the same. Without a connection there is nothing to do, and that is no
    error. Access that was given stays until its end:
    Stop-BasculeAccessRequest ends it.
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
