function Get-BasculeVaultName {
    <#
    .SYNOPSIS
    Under which name a vault keeps a sign-in: one for each server.
    .NOTES
    Some vaults take letters, digits and dashes alone.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    'Bascule-{0}' -f (($Session.Endpoint -replace '^https://') -replace '[^A-Za-z0-9]', '-')
}
