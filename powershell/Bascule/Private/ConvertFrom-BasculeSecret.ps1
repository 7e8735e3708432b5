function ConvertFrom-BasculeSecret {
    <#
    .SYNOPSIS
    The text of a SecureString, for the moment that it is sent.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [securestring] $Secret
    )
    (New-Object -TypeName System.Net.NetworkCredential -ArgumentList @('', $Secret)).Password
}
