function New-BasculeAssertion {
    <#
    .SYNOPSIS
    A certificate holder's proof of who it is: a JWT signed RS256 or ES256, for one token.
    .NOTES
    RFC 7523 section 3; x5t names the certificate by the SHA-1 of its DER (RFC 7515 4.1.7), as
    Azure's clients send it.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    $encode = { param([byte[]] $Bytes) [System.Convert]::ToBase64String($Bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_') }
    $now = [System.DateTimeOffset]::UtcNow.ToUnixTimeSeconds()
    $certificate = $Session.Certificate
    $rsa = [System.Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($certificate)
    $algorithm = if ($null -ne $rsa) { 'RS256' } else { 'ES256' }
    $header = [ordered]@{ alg = $algorithm; typ = 'JWT'; x5t = & $encode -Bytes $certificate.GetCertHash() }
    $claims = [ordered]@{
        aud = '{0}/{1}/oauth2/v2.0/token' -f $Session.Endpoint, $Session.TenantId
        iss = $Session.ClientId
        sub = $Session.ClientId
        jti = [System.Guid]::NewGuid().ToString()
        nbf = $now - 60
        iat = $now
        exp = $now + 300
    }
    $parts = foreach ($part in $header, $claims) {
        $json = ConvertTo-Json -InputObject $part -Compress
        & $encode -Bytes ([System.Text.Encoding]::UTF8.GetBytes($json))
    }
    $signed = $parts -join '.'
    $bytes = [System.Text.Encoding]::ASCII.GetBytes($signed)
    $sha256 = [System.Security.Cryptography.HashAlgorithmName]::SHA256
    if ($null -ne $rsa) {
        $signature = $rsa.SignData($bytes, $sha256, [System.Security.Cryptography.RSASignaturePadding]::Pkcs1)
        $rsa.Dispose()
    } else {
        $ecdsa = [System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions]::GetECDsaPrivateKey($certificate)
        $signature = $ecdsa.SignData($bytes, $sha256)  # r and s side by side, as RFC 7518 3.4 has it
        $ecdsa.Dispose()
    }
    '{0}.{1}' -f $signed, (& $encode -Bytes $signature)
}
