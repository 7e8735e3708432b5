# The two PowerShell examples of Azure's how-to, word for word but for ids, address and end time;
# and in the lab the port is really closed, and really opens, for that address alone. Then its lines about
# Azure Firewall, which is a gateway here; for portal and command line they are in
# tests/portal/test_how_to_firewall.py.

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

Describe 'the how-to on Azure Firewall' -Skip:(-not $isLab) {
    BeforeAll {
        $app = $World.behind | Where-Object -FilterScript { -not $_.agent }
        $sql = $World.behind | Where-Object -FilterScript { $_.agent }
        $public = $app.publicAddresses[0]

        # The example above has replaced the policy default by one of its machine alone.
        $rules = foreach ($each in $app, $sql) {
            @{
                id    = $each.id
                ports = @{ number = 22; protocol = 'TCP'; allowedSourceAddressPrefix = '*'; maxRequestAccessDuration = 'PT3H' }
            }
        }
        $null = Set-AzJitNetworkAccessPolicy -Kind 'Basic' -Location $World.location -Name 'behind' `
            -ResourceGroupName $World.resource_group -VirtualMachine $rules -ErrorAction Stop

        function Start-TestAccessBehind {
            param([psobject] $Machine)
            $wanted = @{
                id    = $Machine.id
                ports = @{ number = 22; duration = 'PT5M'; allowedSourceAddressPrefix = $World.client_address }
            }
            Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/behind" -VirtualMachine $wanted -ErrorAction Stop
        }

        function Set-TestManager {
            param([string] $By)
            $null = InModuleScope -ModuleName Bascule -Parameters @{ Gateway = $World.gateway.id; By = $By } -ScriptBlock {
                Invoke-BasculeApi -Method POST -Body @{ managedBy = $By } -Path (
                    "$Gateway/providers/Bascule.Fleet/enforcementPoints/default/manage")
            }
        }
    }
    AfterAll {
        Set-TestManager -By ''
        Get-BasculeAccessRequest -Live | Stop-BasculeAccessRequest -Confirm:$false -ErrorAction SilentlyContinue | Out-Null
        Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/behind" -ErrorAction Ignore
    }

    It 'line 38: Non - Machines virtuelles protégées par des pare-feu Azure contrôlés par Azure Firewall Manager' {
        Set-TestManager -By 'Azure Firewall Manager'
        $found = Get-BasculeMachine -Name $app.name
        $found.State | Should -Be 'unsupported'
        $found.Reasons -join ' ' | Should -Match "$($app.gateway), in front of $($app.name), is managed by Azure Firewall Manager"
        (Get-BasculeMachine -State unsupported).Name | Should -Contain $app.name
        { Start-TestAccessBehind -Machine $app } | Should -Throw -ErrorId 'ManagedElsewhere*'
        Set-TestManager -By ''
        (Get-BasculeMachine -Name $app.name).State | Should -Be 'configured'
    }

    It "line 250: L'icône indique si l'accès est activé sur le groupe de sécurité réseau ou le pare-feu. S'il est activé sur les deux, seule l'icône de pare-feu s'affiche" {
        (Get-BasculeMachine -Name $World.machine.name).Enforcement | Should -Be 'HostFilter'
        (Get-BasculeMachine -Name $app.name).Enforcement | Should -Be 'Firewall'
        (Get-BasculeMachine -Name $sql.name).Enforcement | Should -Be 'Firewall'
        (Get-BasculeMachine -Name $app.name).ClosedAt | Should -Be $app.gateway
        (Get-BasculeMachine -Name $sql.name).ClosedAt | Should -BeNullOrEmpty
        Get-BasculeMachine | Out-String -Width 160 | Should -Match "$($app.name).*22/tcp at $($app.gateway)"
    }

    It 'lines 252 and 287: les informations de connexion appropriées (mappage de ports provenant de la table DNAT)' {
        foreach ($machine in $app, $sql) {
            $request = Start-TestAccessBehind -Machine $machine
            $request.VirtualMachines[0].PublicIpAddress | Should -Be $public
            $request.VirtualMachines[0].Ports[0].MappedPort | Should -Be $machine.publicPort
            $port = ($request | Wait-BasculeAccessRequest -ErrorAction Stop).Ports[0]
            $port.PublicIpAddress, $port.MappedPort | Should -Be $public, $machine.publicPort
            $line = "ssh -p $($machine.publicPort) -o HostKeyAlias=$($machine.name) $public"
            $port.Connect | Should -BeExactly $line
            $port | Out-String -Width 160 | Should -Match ([regex]::Escape($line))
            $at = @{ Address = $public; Port = $machine.publicPort }
            Wait-Until -That { Test-LabReach -From $World.client @at } | Should -BeTrue
            Test-LabReach -From $World.stranger @at | Should -BeFalse
            ($request | Stop-BasculeAccessRequest -Confirm:$false).Ports[0].Connect | Should -BeNullOrEmpty
            Wait-Until -That { -not (Test-LabReach -From $World.client @at) } | Should -BeTrue
        }
    }
}
