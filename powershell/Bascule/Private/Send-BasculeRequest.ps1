function Send-BasculeRequest {
    <#
    .SYNOPSIS
    One HTTP call on the session's connection: status, headers and text of the answer.
    .NOTES
    Waits in short steps, because Ctrl+C cannot end a wait inside .NET. Redirects are not
    followed. Throws ServerUnreachable, CertificateNotTrusted or RequestTimeout.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory)] [string] $Method,
        [Parameter(Mandatory)] [string] $Uri,
        [string] $Json = '',
        [hashtable] $Form = $null,
        [string] $Token = '',
        [int] $TimeoutSeconds = 60,
        [object] $Session = $script:Session
    )
    $ErrorActionPreference = 'Stop'
    $request = New-Object -TypeName System.Net.Http.HttpRequestMessage -ArgumentList @(
        (New-Object -TypeName System.Net.Http.HttpMethod -ArgumentList $Method), [System.Uri] $Uri
    )
    $source = New-Object -TypeName System.Threading.CancellationTokenSource
    $answer = $null
    try {
        if ($Token) {
            $null = $request.Headers.TryAddWithoutValidation('Authorization', "Bearer $Token")
        }
        $null = $request.Headers.TryAddWithoutValidation('User-Agent', $Session.UserAgent)
        if ($Json) {
            $request.Content = New-Object -TypeName System.Net.Http.StringContent -ArgumentList @(
                $Json, [System.Text.Encoding]::UTF8, 'application/json'
            )
        } elseif ($null -ne $Form) {
            $pairs = foreach ($name in $Form.Keys) {
                '{0}={1}' -f [System.Uri]::EscapeDataString($name), [System.Uri]::EscapeDataString([string] $Form[$name])
            }
            $request.Content = New-Object -TypeName System.Net.Http.StringContent -ArgumentList @(
                ($pairs -join '&'), [System.Text.Encoding]::UTF8, 'application/x-www-form-urlencoded'
            )
        } elseif ($Method -ne 'GET') {
            # .NET sends a call without content again, up to three times, when a server hangs up.
            $request.Content = New-Object -TypeName System.Net.Http.ByteArrayContent -ArgumentList @(, [byte[]] @())
        }
        $source.CancelAfter($TimeoutSeconds * 1000)
        $sending = $Session.Client.SendAsync($request, $source.Token)
        while (-not $sending.AsyncWaitHandle.WaitOne(200)) { }
        $answer = $sending.GetAwaiter().GetResult()
        [pscustomobject]@{
            Status = [int] $answer.StatusCode
            Text   = $answer.Content.ReadAsStringAsync().GetAwaiter().GetResult()
        }
    } catch {
        throw (New-BasculeReachError -Exception $_.Exception -Method $Method -Uri $Uri)
    } finally {
        $source.Cancel()  # of Ctrl+C: the call is not left behind
        $source.Dispose()
        $request.Dispose()
        if ($null -ne $answer) {
            $answer.Dispose()
        }
    }
}
