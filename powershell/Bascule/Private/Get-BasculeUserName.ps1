function Get-BasculeUserName {
    <#
    .SYNOPSIS
    Who signed in, by the id token: it came over TLS from its issuer itself (OIDC Core 3.1.3.7).
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [string] $IdToken
    )
    $part = $IdToken.Split('.')[1].Replace('-', '+').Replace('_', '/')
    $padded = $part.PadRight($part.Length + (4 - $part.Length % 4) % 4, '=')
    $claims = ConvertFrom-BasculeJson -Text ([System.Text.Encoding]::UTF8.GetString([System.Convert]::FromBase64String($padded)))
    [string] (Get-BasculeProperty -InputObject $claims -Name 'preferred_username')
}
