function Test-BasculeChainPolicy {
    <#
    .SYNOPSIS
    Does this .NET take a chain policy for TLS? (From 7 on, which PowerShell 7.3 brought.)
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param()
    $options = 'System.Net.Security.SslClientAuthenticationOptions' -as [type]
    $null -ne $options -and $null -ne $options.GetProperty('CertificateChainPolicy')
}
