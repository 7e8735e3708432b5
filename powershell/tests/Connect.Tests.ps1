# Signing in, and what is told when it fails: on the real server, and on one that misbehaves.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    $trust = @{ Endpoint = $World.endpoint; CaFile = $World.ca_file }
    $program = @{ ApplicationId = $World.client_id; ClientSecret = Get-TestSecret }
    $ca = [System.Security.Cryptography.X509Certificates.X509Certificate2]::CreateFromPem([System.IO.File]::ReadAllText($World.ca_file))
    $fingerprint = $ca.GetCertHashString('SHA256')

    # The error that a block stops with.
    function Get-TestError {
        param([scriptblock] $Of)
        try { $null = & $Of } catch { return $_ }
        throw 'it did not fail'
    }
}

Describe 'without a connection' {
    It 'says what to do' {
        Disconnect-Bascule
        $failure = Get-TestError -Of { Get-AzJitNetworkAccessPolicy -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly 'NotConnected,Get-AzJitNetworkAccessPolicy'
        $failure.ErrorDetails.RecommendedAction | Should -Match 'Connect-Bascule -Endpoint'
        Get-BasculeContext | Should -BeNullOrEmpty
    }
}

Describe 'a program' {
    AfterEach { Disconnect-Bascule }

    It 'signs in by a credential, as Connect-AzAccount takes it' {
        $credential = [pscredential]::new($World.client_id, (Get-TestSecret))
        $context = Connect-Bascule @trust -ServicePrincipal -Credential $credential -ErrorAction Stop
        $context.TenantId | Should -Be $World.tenant_id
        $context.SubscriptionId | Should -Be $World.subscription_id
        { Get-AzJitNetworkAccessPolicy -ErrorAction Stop } | Should -Not -Throw
    }

    It 'signs in by its secret, and trusts by a fingerprint however it is written' {
        $pairs = ($fingerprint.ToLower() -replace '(..)(?!$)', '$1:')
        $null = Connect-Bascule -Endpoint $World.endpoint -Fingerprint "SHA256:$pairs" @program -ErrorAction Stop
        { Get-AzJitNetworkAccessPolicy -ErrorAction Stop } | Should -Not -Throw
    }

    It 'signs in by a certificate' {
        Connect-TestAdmin
        $made = InModuleScope -ModuleName Bascule -Parameters @{ World = $World } -ScriptBlock {
            Invoke-BasculeApi -Method POST -Path "$(Get-BasculeSubscriptionPath)/providers/Bascule.Identity/servicePrincipals" -Body @{
                properties = @{ displayName = 'with-certificate'; credential = @{ type = 'certificate'; certificate = $World.certificate } }
            }
        }
        $made | Should -Not -BeNullOrEmpty
        $failure = Get-TestError -Of {
            Connect-Bascule @trust -ApplicationId $made.name -CertificatePath $World.certificate_file -ErrorAction Stop
        }
        # Signed in, and told that it holds no role yet: the assertion was believed.
        $failure.FullyQualifiedErrorId | Should -BeLike 'SubscriptionNotFound*'
    }

    It 'keeps no secret where it can be seen' {
        $null = Connect-Bascule @trust @program -ErrorAction Stop
        $shown = (Get-BasculeContext | ConvertTo-Json -Depth 9) + (Get-Variable -Scope Global | Out-String)
        $shown | Should -Not -Match ([regex]::Escape($World.client_secret))
        $failure = Get-TestError -Of { Get-AzJitNetworkAccessPolicy -ResourceGroupName x -Location y -Name z -ErrorAction Stop }
        $token = InModuleScope -ModuleName Bascule -ScriptBlock { $script:Session.AccessToken }
        ($failure | Format-List -Property * -Force | Out-String -Width 9999) | Should -Not -Match ([regex]::Escape($token))
    }

    It 'keeps the connection that it had when another fails' {
        Connect-TestAdmin
        Connect-Bascule @trust -Subscription 'no-such' @program -ErrorAction SilentlyContinue
        (Get-BasculeContext).Endpoint | Should -Be $World.endpoint
        { Get-AzJitNetworkAccessPolicy -ErrorAction Stop } | Should -Not -Throw
    }

    It 'chooses a subscription that it may see, and no other' {
        Connect-TestAdmin
        (Set-BasculeContext -Subscription $World.subscription_id).SubscriptionId | Should -Be $World.subscription_id
        $failure = Get-TestError -Of { Set-BasculeContext -Subscription 'no-such' -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly 'SubscriptionNotFound,Set-BasculeContext'
        $failure.ErrorDetails.RecommendedAction | Should -Match $World.subscription_id
        (Get-BasculeContext).SubscriptionId | Should -Be $World.subscription_id
    }
}

Describe 'what is wrong is told with what to do' {
    It '<code>' -ForEach @(
        @{ code = 'invalid_client'; how = { Connect-Bascule @trust -ApplicationId $World.client_id -ErrorAction Stop -ClientSecret (ConvertTo-SecureString -String 'wrong' -AsPlainText -Force) } }
        @{ code = 'CertificateNotTrusted'; how = { Connect-Bascule -Endpoint $World.endpoint @program -ErrorAction Stop } }
        @{ code = 'CertificateNotTrusted'; how = { Connect-Bascule -Endpoint $World.endpoint -CaFile $World.broken.ca_file @program -ErrorAction Stop } }
        @{ code = 'CertificateNotTrusted'; how = { Connect-Bascule -Endpoint ($World.broken.endpoint -replace '127.0.0.1', 'localhost') -CaFile $World.broken.ca_file @program -ErrorAction Stop } }
        @{ code = 'FingerprintMismatch'; how = { Connect-Bascule -Endpoint $World.endpoint -Fingerprint ('ab' * 32) @program -ErrorAction Stop } }
        @{ code = 'InvalidFingerprint'; how = { Connect-Bascule -Endpoint $World.endpoint -Fingerprint 'abc' @program -ErrorAction Stop } }
        @{ code = 'InvalidCaFile'; how = { Connect-Bascule -Endpoint $World.endpoint -CaFile '/no/such.pem' @program -ErrorAction Stop } }
        @{ code = 'InvalidCaFile'; how = { Connect-Bascule -Endpoint $World.endpoint -CaFile $env:BASCULE_TEST_WORLD @program -ErrorAction Stop } }
        @{ code = 'MutuallyExclusiveParameters'; how = { Connect-Bascule @trust -Fingerprint ('ab' * 32) @program -ErrorAction Stop } }
        @{ code = 'InvalidEndpoint'; how = { Connect-Bascule -Endpoint ($World.endpoint -replace '^https', 'http') @program -ErrorAction Stop } }
        @{ code = 'ServerUnreachable'; how = { Connect-Bascule -Endpoint 'https://127.0.0.1:1' @program -ErrorAction Stop } }
        @{ code = 'InvalidCertificateFile'; how = { Connect-Bascule @trust -ApplicationId 'x' -CertificatePath $World.ca_file -ErrorAction Stop } }
    ) {
        Disconnect-Bascule
        $failure = Get-TestError -Of $how
        $failure.FullyQualifiedErrorId | Should -BeExactly "$code,Connect-Bascule"
        $failure.ErrorDetails.RecommendedAction | Should -Not -BeNullOrEmpty
        Get-BasculeContext | Should -BeNullOrEmpty
    }

    It 'where this .NET cannot trust one CA for one connection' {
        Mock -ModuleName Bascule -CommandName Test-BasculeChainPolicy -MockWith { $false }
        foreach ($how in @{ CaFile = $World.ca_file }, @{ Fingerprint = $fingerprint }) {
            $failure = Get-TestError -Of { Connect-Bascule -Endpoint $World.endpoint @how @program -ErrorAction Stop }
            $failure.FullyQualifiedErrorId | Should -BeExactly 'TrustNotSupported,Connect-Bascule'
            $failure.ErrorDetails.RecommendedAction | Should -Match 'Import-Certificate'
        }
    }
}

Describe 'a person' -Skip:(-not $isLab) {
    BeforeAll {
        $person = $World.users[0].name

        # Signs in with a code that the world's approver reads from a file.
        function Connect-TestPerson {
            param([hashtable] $More = @{})
            Connect-Bascule @trust @More -ErrorAction Stop 6>&1 | ForEach-Object -Process {
                if ([string] $_ -match 'enter the code (\S+?)\.$') {
                    Set-Content -Path $World.device_code_file -Value $Matches[1]
                } elseif ($_ -isnot [System.Management.Automation.InformationRecord]) {
                    $_
                }
            }
        }
    }

    It 'signs in by a code, goes on by the refresh token, and signs out' {
        (Connect-TestPerson).Account | Should -Be $person
        InModuleScope -ModuleName Bascule -ScriptBlock { $script:Session.ExpiresAt = [datetime]::UtcNow }
        { Get-AzJitNetworkAccessPolicy -ErrorAction Stop } | Should -Not -Throw
        InModuleScope -ModuleName Bascule -ScriptBlock { $script:Session.ExpiresAt } | Should -BeGreaterThan ([datetime]::UtcNow)
        $kept = InModuleScope -ModuleName Bascule -ScriptBlock { $script:Session.Clone() }
        Disconnect-Bascule
        Get-BasculeContext | Should -BeNullOrEmpty
        # Revoked on the server, too: what was copied is worth nothing.
        Connect-TestAdmin
        $failure = InModuleScope -ModuleName Bascule -Parameters @{ kept = $kept } -ScriptBlock {
            $kept.Client = $script:Session.Client
            try { Update-BasculeToken -Session $kept -Form (Get-BasculeGrantForm -Session $kept) } catch { $_ }
        }
        $failure.FullyQualifiedErrorId | Should -BeLike 'invalid_grant*'
    }

    It 'is remembered by a vault, and forgotten' {
        # A vault of the test's own, with the commands of SecretManagement that are used.
        $vault = @{}
        $fake = New-Module -Name 'FakeSecretManagement' -ArgumentList $vault -ScriptBlock {
            param($Kept)
            function Set-Secret {
                [CmdletBinding(SupportsShouldProcess)] param($Vault, $Name, [securestring] $SecureStringSecret)
                $Kept["$Vault/$Name"] = $SecureStringSecret
            }
            function Get-Secret { [CmdletBinding()] param($Vault, $Name) $Kept["$Vault/$Name"] }
            function Remove-Secret {
                [CmdletBinding(SupportsShouldProcess)] param($Vault, $Name)
                $Kept.Remove("$Vault/$Name")
            }
        } | Import-Module -PassThru -Global
        try {
            $null = Connect-TestPerson -More @{ SaveTo = 'mine' }
            $vault.Count | Should -Be 1
            Import-Module -Name (Get-Module -Name Bascule).Path.Replace('.psm1', '.psd1') -Force -Global  # another session
            $again = Connect-Bascule @trust -SaveTo 'mine' -ErrorAction Stop
            $again.Account | Should -Be $person
            Disconnect-Bascule
            $vault.Count | Should -Be 0
        } finally {
            Remove-Module -ModuleInfo $fake
        }
    }

    It 'is told what a vault needs' {
        $failure = Get-TestError -Of { Connect-Bascule @trust -SaveTo 'mine' -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly 'SecretManagementMissing,Connect-Bascule'
        $failure.ErrorDetails.RecommendedAction | Should -Match 'SecretManagement'
    }
}

Describe 'a server that misbehaves' {
    BeforeEach { Connect-TestBroken }
    AfterAll { Disconnect-Bascule }

    It 'reads every page, and follows no link elsewhere' {
        (Get-AzJitNetworkAccessPolicy -ResourceGroupName 'pages' -ErrorAction Stop).Name | Should -Be @('1', '2')
    }

    It 'asks for another token when its own is refused, once' {
        InModuleScope -ModuleName Bascule -ScriptBlock { $script:Session.AccessToken = 't1' }
        (Get-AzJitNetworkAccessPolicy -ResourceGroupName 'expired' -ErrorAction Stop).Name | Should -Be '1'
    }

    It 'says <code> of <group>, and what to do' -ForEach @(
        @{ group = 'dies'; code = 'ServerUnreachable'; category = 'ConnectionError' }
        @{ group = 'html'; code = 'Http502'; category = 'ResourceUnavailable' }
        @{ group = 'moved'; code = 'Http302'; category = 'InvalidOperation' }
    ) {
        $failure = Get-TestError -Of { Get-AzJitNetworkAccessPolicy -ResourceGroupName $group -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly "$code,Get-AzJitNetworkAccessPolicy"
        $failure.CategoryInfo.Category | Should -Be $category
        $failure.ErrorDetails.RecommendedAction | Should -Not -BeNullOrEmpty
    }

    It 'says that a change may have been made when the server dies under it, and calls once: <verb>' -ForEach @(
        @{ verb = 'DELETE'; how = { Remove-AzJitNetworkAccessPolicy -ResourceId $id -ErrorAction Stop } }
        @{ verb = 'POST'; how = { Start-AzJitNetworkAccessPolicy -ResourceId $id -VirtualMachine @{ id = 'x'; ports = @() } -ErrorAction Stop } }
        @{ verb = 'PUT'; how = { Set-AzJitNetworkAccessPolicy -ResourceGroupName 'dies' -Location 'l' -Name 'p' -Kind 'Basic' -VirtualMachine @{ id = 'x'; ports = @() } -ErrorAction Stop } }
    ) {
        $id = '/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/dies/providers/Microsoft.Security/locations/l/jitNetworkAccessPolicies/p'
        $null = Get-AzJitNetworkAccessPolicy -ResourceGroupName 'pages'  # a connection that is used again
        $failure = Get-TestError -Of $how
        $failure.FullyQualifiedErrorId | Should -BeLike 'ServerUnreachable,*-AzJitNetworkAccessPolicy'
        $failure.ErrorDetails.RecommendedAction | Should -Match 'not known whether'
        $calls = InModuleScope -ModuleName Bascule -ScriptBlock {
            (Send-BasculeRequest -Method GET -Uri "$($script:Session.Endpoint)/calls").Text | ConvertFrom-Json
        }
        @($calls -match "^$verb .*/dies/").Count | Should -Be 1
    }

    It 'is not said to have revoked what it did not: <code>' -ForEach @(
        @{ code = 'Http502'; endpoint = '' }
        @{ code = 'ServerUnreachable'; endpoint = 'https://127.0.0.1:1' }
    ) {
        InModuleScope -ModuleName Bascule -Parameters @{ endpoint = $endpoint } -ScriptBlock {
            $script:Session.RefreshToken = 'r1'
            if ($endpoint) { $script:Session.Endpoint = $endpoint }
        }
        $failure = Get-TestError -Of { Disconnect-Bascule -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly "$code,Disconnect-Bascule"
        $failure.Exception.Message | Should -Match '^The tokens on this computer were deleted, but not revoked on the server: '
        $failure.ErrorDetails.RecommendedAction | Should -Match '/signin/you'
        Get-BasculeContext | Should -BeNullOrEmpty
    }

    It 'does not wait for ever' {
        $failure = Get-TestError -Of {
            InModuleScope -ModuleName Bascule -ScriptBlock {
                Send-BasculeRequest -Method GET -Uri "$($script:Session.Endpoint)/resourceGroups/slow/x" -TimeoutSeconds 1
            }
        }
        $failure.FullyQualifiedErrorId | Should -BeLike 'RequestTimeout*'
    }
}
