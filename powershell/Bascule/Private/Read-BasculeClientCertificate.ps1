function Read-BasculeClientCertificate {
    <#
    .SYNOPSIS
    A certificate with its private key, from a PEM file that holds both or from a PFX file.
    #>
    [CmdletBinding()]
    [OutputType([System.Security.Cryptography.X509Certificates.X509Certificate2])]
    param(
        [Parameter(Mandatory)] [string] $Path,
        [securestring] $Password = $null
    )
    $ErrorActionPreference = 'Stop'
    $kind = [System.Security.Cryptography.X509Certificates.X509Certificate2]
    $isMac = [bool] (Get-Variable -Name IsMacOS -ValueOnly -ErrorAction Ignore)
    # Windows would otherwise write the key to the disk; macOS has no such keys.
    $flags = if ($isMac) { 'DefaultKeySet' } else { 'EphemeralKeySet' }
    try {
        $isPem = [System.IO.File]::ReadAllText($Path).Contains('-----BEGIN ')
        if (-not $isPem) {
            $found = $kind::new($Path, $Password, $flags)
        } elseif ($null -eq $kind.GetMethod('CreateFromEncryptedPemFile')) {
            throw 'this PowerShell reads no PEM with a key; make a PFX of it (openssl pkcs12 -export).'
        } elseif ($null -ne $Password) {
            $found = $kind::CreateFromEncryptedPemFile($Path, (ConvertFrom-BasculeSecret -Secret $Password), $Path)
        } else {
            $found = $kind::CreateFromPemFile($Path, $Path)
        }
        if (-not $found.HasPrivateKey) {
            throw 'it holds no private key.'
        }
        $found
    } catch {
        throw (New-BasculeErrorRecord -Code 'InvalidCertificateFile' -Category InvalidData -Message (
                "The certificate $Path cannot be used: $($_.Exception.GetBaseException().Message)"
            ) -Target $Path -Advice (
                'Give a PEM file with certificate and key, or a PFX file; give its password with -CertificatePassword.'
            ))
    }
}
