function Get-BasculeCa {
    <#
    .SYNOPSIS
    The CA certificates to trust: of a PEM file, or the server's own by its fingerprint.
    .DESCRIPTION
    By fingerprint, the CA is fetched over a connection that verifies nothing and is thrown away;
    it is believed only when the SHA-256 of its DER is the one that came another way. Whoever
    stands in between can refuse, not deceive.
    #>
    [CmdletBinding()]
    [OutputType([System.Security.Cryptography.X509Certificates.X509Certificate2[]])]
    param(
        [AllowEmptyString()] [string] $CaFile = '',
        [AllowEmptyString()] [string] $Fingerprint = '',
        [Parameter(Mandatory)] [string] $Endpoint
    )
    $ErrorActionPreference = 'Stop'
    if ($CaFile) {
        try {
            $found = @(Read-BasculeCertificate -Text ([System.IO.File]::ReadAllText($CaFile)))
        } catch {
            throw (New-BasculeErrorRecord -Code 'InvalidCaFile' -Category ObjectNotFound -Message (
                    "The CA file $CaFile cannot be used: $($_.Exception.GetBaseException().Message)"
                ) -Target $CaFile -Advice 'Give a PEM file with -CaFile, or give -Fingerprint.')
        }
        if ($found.Count -eq 0) {
            throw (New-BasculeErrorRecord -Code 'InvalidCaFile' -Category InvalidData -Message (
                    "There is no certificate in $CaFile."
                ) -Target $CaFile -Advice 'Give a PEM file with -CaFile: DATA/ca.pem on the server.')
        }
        return $found
    }
    $expected = ($Fingerprint.Trim() -replace '^(?i)sha-?256[:=]' -replace '[: ]').ToLowerInvariant()
    if ($expected -notmatch '^[0-9a-f]{64}$') {
        throw (New-BasculeErrorRecord -Code 'InvalidFingerprint' -Category InvalidArgument -Message (
                "'$Fingerprint' is not a SHA-256 fingerprint: it has 64 hexadecimal digits."
            ) -Target $Endpoint -Advice 'On the server: openssl x509 -in DATA/ca.pem -noout -fingerprint -sha256')
    }
    $shown = @()
    foreach ($certificate in @(Read-BasculeCertificate -Text (Get-BasculeCaText -Endpoint $Endpoint))) {
        $digest = $certificate.GetCertHashString([System.Security.Cryptography.HashAlgorithmName]::SHA256)
        if ($digest -eq $expected) {
            return $certificate
        }
        $shown += $digest.ToLowerInvariant()
    }
    $list = if ($shown) { $shown -join ', ' } else { 'none at all' }
    throw (New-BasculeErrorRecord -Code 'FingerprintMismatch' -Category SecurityError -Message (
            "$Endpoint has a CA with another fingerprint ($list) than expected ($expected)."
        ) -Target $Endpoint -Advice (
            'Check the address and the fingerprint. If both are right, something intercepts the connection.'
        ))
}
