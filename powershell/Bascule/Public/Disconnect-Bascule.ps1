function Disconnect-Bascule {
    <#
    .SYNOPSIS
    Forgets the connection: its tokens, and what a vault keeps of it.
    .DESCRIPTION
    A person's sign-in is revoked on the server, where it can be reached. Without a connection
    there is nothing to do, and that is no error. Access that was given stays until its end:
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
            if ($session.Vault) {
                Remove-Secret -Vault $session.Vault -Name (Get-BasculeVaultName -Session $session) -ErrorAction Stop `
                    -WhatIf:$false -Confirm:$false
            }
            if ($session.RefreshToken) {
                $form = @{ token = $session.RefreshToken; client_id = $session.ClientId }
                $null = Send-BasculeTokenRequest -Session $session -Page 'revoke' -Form $form
            }
        } catch {
            $PSCmdlet.WriteError($_)
        } finally {
            $session.Client.Dispose()
        }
    }
}
