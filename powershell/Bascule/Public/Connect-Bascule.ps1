function Connect-Bascule {
    <#
    .SYNOPSIS
    Connects this session to a Bascule server and signs in.
    .DESCRIPTION
    A person signs in with a code, which they approve in any browser; a program with a secret or
    a certificate. Tokens are kept in the memory of this session and renewed before they expire.
    If connecting fails, the previous connection stays.

    To trust the server, give its CA file or the CA's fingerprint; both need PowerShell 7.3 or
    newer. Without either, the system's trusted CAs apply. On Windows PowerShell 5.1 put the CA
    into the store: Import-Certificate -FilePath ca.pem -CertStoreLocation Cert:\CurrentUser\Root
    .PARAMETER Endpoint
    The server's address, https://HOST:PORT.
    .PARAMETER CaFile
    A PEM file with the CA to trust for this connection only.
    .PARAMETER Fingerprint
    The SHA-256 fingerprint of the server's CA to trust for this connection only.
    .PARAMETER DeviceCode
    Sign in as a person, with a code. This is the default.
    .PARAMETER ServicePrincipal
    Sign in as a program.
    .PARAMETER Credential
    A program's application id as the user name, and its secret as the password.
    .PARAMETER ApplicationId
    A program's application id.
    .PARAMETER ClientSecret
    A program's secret.
    .PARAMETER CertificatePath
    A program's certificate with its key: a PEM file with both, or a PFX file.
    .PARAMETER CertificatePassword
    The password of that file.
    .PARAMETER Tenant
    The tenant's id. Default: from the server.
    .PARAMETER Subscription
    The subscription to work in, by id or name. Default: the first that you may see.
    .PARAMETER SaveTo
    A vault of Microsoft.PowerShell.SecretManagement to store a person's sign-in in. The next
    Connect-Bascule with the same vault needs no code.
    .EXAMPLE
    Connect-Bascule -Endpoint 'https://HOST:8443' -CaFile 'ca.pem'

    Shows a page and a code for a person to sign in.
    .EXAMPLE
    $secret = ConvertTo-SecureString -String 'SECRET' -AsPlainText -Force
    $credential = New-Object -TypeName PSCredential -ArgumentList 'APPLICATIONID', $secret
    Connect-Bascule -Endpoint 'https://HOST:8443' -CaFile 'ca.pem' -ServicePrincipal -Credential $credential

    Signs a program in, with the same credential as Connect-AzAccount.
    .EXAMPLE
    Connect-Bascule -Endpoint 'https://HOST:8443' -Fingerprint 'FINGERPRINT' -ApplicationId 'APPLICATIONID' -CertificatePath 'program.pem'

    Signs a program in with a certificate, and trusts the server by its CA's fingerprint.
    #>
    [CmdletBinding(DefaultParameterSetName = 'DeviceCode', PositionalBinding = $false)]
    [OutputType('Bascule.Context')]
    param(
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Endpoint,

        [ValidateNotNullOrEmpty()] [string] $CaFile,

        [ValidateNotNullOrEmpty()] [string] $Fingerprint,

        [Parameter(ParameterSetName = 'DeviceCode')]
        [Alias('UseDeviceAuthentication', 'DeviceAuth', 'Device')]
        [switch] $DeviceCode,

        [Parameter(Mandatory, ParameterSetName = 'Credential')]
        [Parameter(ParameterSetName = 'Secret')]
        [Parameter(ParameterSetName = 'Certificate')]
        [switch] $ServicePrincipal,

        [Parameter(Mandatory, ParameterSetName = 'Credential')]
        [ValidateNotNull()] [pscredential] $Credential,

        [Parameter(Mandatory, ParameterSetName = 'Secret')]
        [Parameter(Mandatory, ParameterSetName = 'Certificate')]
        [Alias('ClientId')]
        [ValidateNotNullOrEmpty()] [string] $ApplicationId,

        [Parameter(Mandatory, ParameterSetName = 'Secret')]
        [ValidateNotNull()] [securestring] $ClientSecret,

        [Parameter(Mandatory, ParameterSetName = 'Certificate')]
        [ValidateNotNullOrEmpty()] [string] $CertificatePath,

        [Parameter(ParameterSetName = 'Certificate')]
        [ValidateNotNull()] [securestring] $CertificatePassword,

        [Alias('TenantId')]
        [ValidateNotNullOrEmpty()] [string] $Tenant,

        [Alias('SubscriptionId', 'SubscriptionName')]
        [ValidateNotNullOrEmpty()] [string] $Subscription,

        [Parameter(ParameterSetName = 'DeviceCode')]
        [ValidateNotNullOrEmpty()] [string] $SaveTo
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        $session = $null
        try {
            if ($CaFile -and $Fingerprint) {
                throw (New-BasculeErrorRecord -Code 'MutuallyExclusiveParameters' -Category InvalidArgument -Message (
                        'Both a CA file and a fingerprint were given.'
                    ) -Advice 'Give only one of them: -CaFile or -Fingerprint.')
            }
            $file = if ($CaFile) { $PSCmdlet.GetUnresolvedProviderPathFromPSPath($CaFile) } else { '' }
            $session = New-BasculeSession -Endpoint $Endpoint -CaFile $file -Fingerprint $Fingerprint -Tenant $Tenant
            switch ($PSCmdlet.ParameterSetName) {
                'Credential' {
                    $session.ClientId = $Credential.UserName
                    $session.ClientSecret = $Credential.Password
                }
                'Secret' {
                    $session.ClientId = $ApplicationId
                    $session.ClientSecret = $ClientSecret
                }
                'Certificate' {
                    $session.ClientId = $ApplicationId
                    $session.Certificate = Read-BasculeClientCertificate -Password $CertificatePassword -Path (
                        $PSCmdlet.GetUnresolvedProviderPathFromPSPath($CertificatePath)
                    )
                }
            }
            if ($PSCmdlet.ParameterSetName -eq 'DeviceCode') {
                $session.Vault = $SaveTo
                if (-not ($SaveTo -and (Restore-BasculeSignIn -Session $session))) {
                    Connect-BasculePerson -Session $session
                }
                $session.Account = Get-BasculeUserName -IdToken $session.IdToken
            } else {
                $session.AccountType = 'ServicePrincipal'
                $session.Account = $session.ClientId
                Update-BasculeToken -Session $session -Form (Get-BasculeGrantForm -Session $session)
            }
            $found = Find-BasculeSubscription -Session $session -Wanted $Subscription
        } catch {
            if ($null -ne $session -and $null -ne $session.Client) {
                $session.Client.Dispose()
            }
            $PSCmdlet.WriteError($_)
            return
        }
        if ($null -ne $script:Session) {
            $script:Session.Client.Dispose()
        }
        $script:Session = $session
        $script:Context = New-BasculeContext -Session $session -Subscription $found
        Get-BasculeContext
    }
}
