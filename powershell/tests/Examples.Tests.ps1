# The examples that Get-Help prints, run as they stand but for the names in capitals.

BeforeAll {
    . "$PSScriptRoot/World.ps1"
}

AfterAll { Disconnect-Bascule }

Describe 'the examples of <_>' -ForEach @(
    'Get-AzJitNetworkAccessPolicy', 'Set-AzJitNetworkAccessPolicy', 'Start-AzJitNetworkAccessPolicy'
    'Remove-AzJitNetworkAccessPolicy', 'Get-BasculeContext', 'Set-BasculeContext', 'Disconnect-Bascule'
) {
    It 'run' {
        Connect-TestAdmin
        $null = New-TestPolicy -Name 'default'
        # These tests call over the loopback, which is nobody's address.
        $source = @{ '@{ number = 22 }' = "@{ number = 22; allowedSourceAddressPrefix = '$($World.client_address)' }" }
        Invoke-TestExample -Name $_ -Replace $source | Should -BeGreaterOrEqual 1
        Get-BasculeAccessRequest -Live -ErrorAction Ignore | Where-Object -FilterScript { $_.State -eq 'scheduled' } |
            Stop-BasculeAccessRequest -Confirm:$false | Out-Null
    }
}

Describe 'the examples of Connect-Bascule' {
    It 'run' {
        Connect-TestAdmin
        $made = InModuleScope -ModuleName Bascule -Parameters @{ World = $World } -ScriptBlock {
            $root = "$(Get-BasculeSubscriptionPath)"
            $made = Invoke-BasculeApi -Method POST -Path "$root/providers/Bascule.Identity/servicePrincipals" -Body @{
                properties = @{ displayName = 'example'; credential = @{ type = 'certificate'; certificate = $World.certificate } }
            }
            $null = Invoke-BasculeApi -Method PUT -ApiVersion '2022-04-01' -Body @{
                properties = @{
                    principalId      = $made.name
                    principalType    = 'ServicePrincipal'
                    roleDefinitionId = "$root/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
                }
            } -Path "$root/providers/Microsoft.Authorization/roleAssignments/$([guid]::NewGuid())"
            $made
        }
        $ca = [System.Security.Cryptography.X509Certificates.X509Certificate2]::CreateFromPem([System.IO.File]::ReadAllText($World.ca_file))
        $words = @{
            "'APPLICATIONID' -CertificatePath 'program.pem'" = "'$($made.name)' -CertificatePath '$($World.certificate_file)'"
            'FINGERPRINT'                                    = $ca.GetCertHashString('SHA256')
        }
        # The first one is a person's: Connect.Tests.ps1 approves its code.
        Invoke-TestExample -Name 'Connect-Bascule' -Replace $words -Skip 1 | Should -Be 3
        (Get-BasculeContext).Account | Should -Be $made.name
    }
}
