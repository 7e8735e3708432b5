function New-BasculeSession {
    <#
    .SYNOPSIS
    A session that is not signed in yet: endpoint, trust, tenant. Holds secrets; never printed.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [Parameter(Mandatory)] [string] $Endpoint,
        [AllowEmptyString()] [string] $CaFile = '',
        [AllowEmptyString()] [string] $Fingerprint = '',
        [AllowEmptyString()] [string] $Tenant = ''
    )
    $ErrorActionPreference = 'Stop'
    $address = $null
    if (-not [System.Uri]::TryCreate($Endpoint.Trim(), [System.UriKind]::Absolute, [ref] $address) -or
        $address.Scheme -ne 'https' -or $address.PathAndQuery -ne '/' -or $address.UserInfo) {
        throw (New-BasculeErrorRecord -Code 'InvalidEndpoint' -Category InvalidArgument -Message (
                "'$Endpoint' is not the address of a server."
            ) -Target $Endpoint -Advice 'Write it as https://HOST or https://HOST:PORT, without a path.')
    }
    $session = @{
        Endpoint     = $address.GetLeftPart([System.UriPartial]::Authority)
        Client       = $null
        UserAgent    = Get-BasculeUserAgent
        TenantId     = $Tenant
        Account      = ''
        AccountType  = 'User'
        ClientId     = 'ba5c01e0-c11e-4c11-8c11-ba5c01e0c11e'  # the server's public client for our programs
        ClientSecret = $null  # a SecureString
        Certificate  = $null
        AccessToken  = ''
        RefreshToken = ''
        IdToken      = ''
        ExpiresAt    = [datetime]::MinValue
        Vault        = ''
    }
    $trust = @{}
    if ($CaFile -or $Fingerprint) {
        $trust['Ca'] = @(Get-BasculeCa -CaFile $CaFile -Fingerprint $Fingerprint -Endpoint $session.Endpoint)
    }
    $session.Client = New-BasculeHttpClient @trust
    if (-not $Tenant) {
        $session.TenantId = Find-BasculeTenant -Session $session
    }
    $session
}
