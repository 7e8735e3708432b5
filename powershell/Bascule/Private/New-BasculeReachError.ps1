function New-BasculeReachError {
    <#
    .SYNOPSIS
    The ErrorRecord of a call that got no answer: why, and what is not known now.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory)] [System.Exception] $Exception,
        [Parameter(Mandatory)] [string] $Method,
        [Parameter(Mandatory)] [string] $Uri
    )
    $address = [System.Uri] $Uri
    $endpoint = $address.GetLeftPart([System.UriPartial]::Authority)
    $isTimeout = $false
    $cause = $Exception
    $deepest = $Exception
    while ($null -ne $cause) {
        $deepest = $cause
        if ($cause -is [System.Security.Authentication.AuthenticationException]) {
            return New-BasculeErrorRecord -Code 'CertificateNotTrusted' -Category SecurityError -Message (
                "The certificate of $endpoint is not trusted: $($cause.Message)"
            ) -Target $endpoint -Advice (
                'Give the right CA: Connect-Bascule -CaFile FILE, or -Fingerprint HEX. ' +
                'If you changed nothing, somebody may be intercepting the connection.'
            )
        }
        if ($cause -is [System.OperationCanceledException]) {
            $isTimeout = $true
        }
        $cause = $cause.InnerException
    }
    # A sign-in changes nothing; neither does a GET.
    $isReading = $Method -eq 'GET' -or $address.AbsolutePath -match '/oauth2/'
    $advice = if ($isReading) {
        'Check that the server is running and that this is its address (Get-BasculeContext). ' +
        'Open ports close on time without it.'
    } else {
        'It is not known whether the server made the change. Check before you call again ' +
        '(Get-AzJitNetworkAccessPolicy, Get-BasculeAccessRequest). Ports that are open close on time.'
    }
    if ($isTimeout) {
        return New-BasculeErrorRecord -Code 'RequestTimeout' -Category OperationTimeout -Message (
            "$endpoint did not answer in time."
        ) -Target $address.AbsolutePath -Advice $advice
    }
    New-BasculeErrorRecord -Code 'ServerUnreachable' -Category ConnectionError -Message (
        "$endpoint cannot be reached: $($deepest.Message)"
    ) -Target $address.AbsolutePath -Advice $advice
}
