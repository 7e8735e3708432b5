function Read-BasculeCertificate {
    <#
    .SYNOPSIS
    The certificates in a PEM text; one that cannot be read throws.
    #>
    [CmdletBinding()]
    [OutputType([System.Security.Cryptography.X509Certificates.X509Certificate2])]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Text
    )
    $ErrorActionPreference = 'Stop'
    $form = '-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----'
    foreach ($match in [regex]::Matches($Text, $form)) {
        $bytes = [System.Convert]::FromBase64String(($match.Groups[1].Value -replace '\s'))
        New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList @(, $bytes)
    }
}
