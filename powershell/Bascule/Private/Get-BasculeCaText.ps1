function Get-BasculeCaText {
    <#
    .SYNOPSIS
    What the server shows as its CA, over a connection that verifies nothing: not to be believed.
    .NOTES
    The callback is .NET's own: one of ours would have no runspace to run in.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [string] $Endpoint
    )
    $ErrorActionPreference = 'Stop'
    if (-not (Test-BasculeChainPolicy)) {
        $null = New-BasculeHttpClient -Ca (New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2)
    }
    $handler = New-Object -TypeName System.Net.Http.HttpClientHandler
    $handler.AllowAutoRedirect = $false
    $handler.ServerCertificateCustomValidationCallback = (
        [System.Net.Http.HttpClientHandler]::DangerousAcceptAnyServerCertificateValidator
    )
    $client = New-Object -TypeName System.Net.Http.HttpClient -ArgumentList $handler
    $client.MaxResponseContentBufferSize = 65536
    try {
        $stranger = @{ Client = $client; UserAgent = Get-BasculeUserAgent }
        $answer = Send-BasculeRequest -Session $stranger -Method GET -Uri "$Endpoint/bascule/ca.pem" -TimeoutSeconds 10
    } finally {
        $client.Dispose()
    }
    if ($answer.Status -ne 200) {
        throw (New-BasculeErrorRecord -Code 'UnexpectedAnswer' -Category InvalidData -Status $answer.Status -Message (
                "$Endpoint has no CA certificate to show (HTTP $($answer.Status) at /bascule/ca.pem)."
            ) -Target $Endpoint -Advice 'Check that this is a Bascule server. If it has a certificate of your own, give its CA with -CaFile.')
    }
    $answer.Text
}
