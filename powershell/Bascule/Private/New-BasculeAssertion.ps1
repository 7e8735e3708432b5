function New-BasculeAssertion {
    <#
    .SYNOPSIS
    A certificate holder's proof of who it is: a JWT signed RS256, for one token.
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
    $header = [ordered]@{ alg = 'RS256'; typ = 'JWT'; x5t = & $encode -Bytes $Session.Certificate.GetCertHash() }
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
    $key = [System.Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($Session.Certificate)
    try {
        $signature = $key.SignData(
            [System.Text.Encoding]::ASCII.GetBytes($signed),
            [System.Security.Cryptography.HashAlgorithmName]::SHA256,
            [System.Security.Cryptography.RSASignaturePadding]::Pkcs1
        )
    } finally {
        $key.Dispose()
    }
    '{0}.{1}' -f $signed, (& $encode -Bytes $signature)
}
