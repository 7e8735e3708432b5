function New-BasculeHttpClient {
    <#
    .SYNOPSIS
    An HttpClient that trusts these CA certificates alone, or what the system trusts.
    .DESCRIPTION
    A scriptblock as certificate callback fails: it is called on a thread that has no runspace
    (EDGES D2). So trust is data: SslOptions.CertificateChainPolicy with CustomRootTrust, which
    .NET has since PowerShell 7.3. The name in the certificate is checked all the same.

    Older PowerShells, and Windows PowerShell 5.1, have only the system's store; there a CA of
    one's own is put into it, and the error says how.
    #>
    [CmdletBinding()]
    [OutputType([System.Net.Http.HttpClient])]
    param(
        # Without it, what the system trusts; an empty one is refused, never taken for that.
        [ValidateNotNullOrEmpty()]
        [System.Security.Cryptography.X509Certificates.X509Certificate2[]] $Ca
    )
    $ErrorActionPreference = 'Stop'
    if ($PSVersionTable.PSVersion.Major -lt 6) {
        Add-Type -AssemblyName System.Net.Http
        [System.Net.ServicePointManager]::SecurityProtocol = (
            [System.Net.ServicePointManager]::SecurityProtocol -bor [System.Net.SecurityProtocolType]::Tls12
        )
        $handler = New-Object -TypeName System.Net.Http.HttpClientHandler
    } else {
        $handler = New-Object -TypeName System.Net.Http.SocketsHttpHandler
    }
    $handler.AllowAutoRedirect = $false  # a token goes where it was meant to go
    $handler.UseCookies = $false
    if ($PSBoundParameters.ContainsKey('Ca')) {
        if (-not (Test-BasculeChainPolicy)) {
            throw (New-BasculeErrorRecord -Code 'TrustNotSupported' -Category NotImplemented -Message (
                    "This PowerShell ($($PSVersionTable.PSVersion)) cannot trust a CA for one connection alone."
                ) -Advice (
                    'Use PowerShell 7.3 or newer; or put the CA into the store of this user and leave ' +
                    '-CaFile and -Fingerprint away: Import-Certificate -FilePath ca.pem ' +
                    '-CertStoreLocation Cert:\CurrentUser\Root'
                ))
        }
        $policy = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509ChainPolicy
        $policy.TrustMode = [System.Security.Cryptography.X509Certificates.X509ChainTrustMode]::CustomRootTrust
        $policy.RevocationMode = [System.Security.Cryptography.X509Certificates.X509RevocationMode]::NoCheck
        foreach ($each in $Ca) {
            $null = $policy.CustomTrustStore.Add($each)
        }
        $handler.SslOptions.CertificateChainPolicy = $policy
    }
    $client = New-Object -TypeName System.Net.Http.HttpClient -ArgumentList $handler
    $client.Timeout = [System.Threading.Timeout]::InfiniteTimeSpan  # each call has its own
    $client
}
