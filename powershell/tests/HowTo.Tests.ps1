# The two PowerShell examples of Azure's how-to, word for word but for ids, address and end time;
# and in the lab the port is really shut, and really opens, for that address alone.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    Connect-TestAdmin

    function Invoke-HowTo {
        param([string] $Text)
        $words = @{
            SUBSCRIPTIONID = $World.subscription_id; RESOURCEGROUP = $World.resource_group; VMNAME = $World.machine.name
            LOCATION       = $World.location; IPV4ADDRESS = $World.client_address
            '2020-07-15T17:00:00.3658798Z' = [datetime]::UtcNow.AddHours(1).ToString("yyyy-MM-dd'T'HH:mm:ss'.3658798Z'")
        }
        foreach ($word in $words.Keys) { $Text = $Text.Replace($word, $words[$word]) }
        & ([scriptblock]::Create("`$ErrorActionPreference = 'Stop'`n$Text"))
    }

    $configure = @'
    $JitPolicy = (@{
        id="/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME";
        ports=(@{
             number=22;
             protocol="*";
             allowedSourceAddressPrefix=@("*");
             maxRequestAccessDuration="PT3H"},
             @{
             number=3389;
             protocol="*";
             allowedSourceAddressPrefix=@("*");
             maxRequestAccessDuration="PT3H"})})
    $JitPolicyArr=@($JitPolicy)
    Set-AzJitNetworkAccessPolicy -Kind "Basic" -Location "LOCATION" -Name "default" -ResourceGroupName "RESOURCEGROUP" -VirtualMachine $JitPolicyArr
'@
    $ask = @'
    $JitPolicyVm1 = (@{
        id="/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME";
        ports=(@{
           number=22;
           endTimeUtc="2020-07-15T17:00:00.3658798Z";
           allowedSourceAddressPrefix=@("IPV4ADDRESS")})})
    $JitPolicyArr=@($JitPolicyVm1)
    Start-AzJitNetworkAccessPolicy -ResourceId "/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Security/locations/LOCATION/jitNetworkAccessPolicies/default" -VirtualMachine $JitPolicyArr
'@
}

AfterAll { Disconnect-Bascule }

Describe 'the how-to' {
    It 'configures the machine, and asks' {
        $policy = Invoke-HowTo -Text $configure
        $policy.VirtualMachines[0].Ports.Number | Should -Be @(22, 3389)
        $policy.VirtualMachines[0].Ports[0].Protocol | Should -Be '*'
        $policy.VirtualMachines[0].Ports[0].AllowedSourceAddressPrefix | Should -Be '*'
        $request = Invoke-HowTo -Text $ask
        $port = $request.VirtualMachines[0].Ports[0]
        $port.AllowedSourceAddressPrefix | Should -Be $World.client_address
        $port.EndTimeUtc.ToString('o') | Should -Match '\.3658798Z$'
        $port.StatusReason | Should -Be 'UserRequested'
    }

    It 'and the port is really open, for that address alone, until access is ended' -Skip:(-not $isLab) {
        Wait-Until -That { Test-LabReach -From $World.client } | Should -BeTrue -Because 'the request above opened it'
        Test-LabReach -From $World.stranger | Should -BeFalse
        $request = @((Get-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/default").Requests |
                Where-Object -FilterScript { $_.VirtualMachines.Ports.Status -contains 'Initiated' })
        $request | Should -Not -BeNullOrEmpty
        foreach ($each in $request) {
            $null = InModuleScope -ModuleName Bascule -Parameters @{ Id = $each.RequestId } -ScriptBlock {
                Invoke-BasculeApi -Method POST -Body @{ kill = $true } -Path (
                    "$(Get-BasculeSubscriptionPath)/providers/Bascule.Access/accessRequests/$Id/revoke")
            }
        }
        Wait-Until -That { -not (Test-LabReach -From $World.client) } | Should -BeTrue
    }
}
