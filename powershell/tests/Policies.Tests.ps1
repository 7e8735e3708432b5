# The four cmdlets of Az.Security: their face is Az's, and what they say is the server's.

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    Connect-TestAdmin

    function Get-TestError {
        param([scriptblock] $Of)
        try { $null = & $Of } catch { return $_ }
        throw 'it did not fail'
    }

    $common = @([System.Management.Automation.PSCmdlet]::CommonParameters) +
    @([System.Management.Automation.PSCmdlet]::OptionalCommonParameters)
}

AfterAll { Disconnect-Bascule }

Describe 'the face' {
    It '<name> has the parameter sets of Az.Security' -ForEach @(
        @{ name = 'Get-AzJitNetworkAccessPolicy'; default = 'SubscriptionScope'; ours = @(); sets = @{
                SubscriptionScope          = ''
                ResourceGroupScope         = 'ResourceGroupName'
                ResourceGroupLevelResource = 'Location Name ResourceGroupName'
                ResourceId                 = 'ResourceId'
            }
        }
        @{ name = 'Set-AzJitNetworkAccessPolicy'; default = 'ResourceGroupLevelResource'; ours = @(); sets = @{
                ResourceGroupLevelResource = 'Kind Location Name ResourceGroupName VirtualMachine'
            }
        }
        @{ name = 'Start-AzJitNetworkAccessPolicy'; default = 'ResourceGroupLevelResource'; ours = 'Justification', 'Duration', 'At', 'UpTo', 'Emergency'; sets = @{
                ResourceGroupLevelResource = 'Location Name ResourceGroupName VirtualMachine'
                ResourceId                 = 'ResourceId VirtualMachine'
                InputObject                = 'InputObject'
            }
        }
        @{ name = 'Remove-AzJitNetworkAccessPolicy'; default = 'ResourceGroupLevelResource'; ours = @(); sets = @{
                ResourceGroupLevelResource = 'Location Name ResourceGroupName'
                ResourceId                 = 'ResourceId'
                InputObject                = 'InputObject'
            }
        }
    ) {
        $command = Get-Command -Name $name
        $command.DefaultParameterSet | Should -BeExactly $default
        ($command.ParameterSets.Name | Sort-Object) | Should -BeExactly ($sets.Keys | Sort-Object)
        foreach ($set in $command.ParameterSets) {
            $mandatory = @($set.Parameters | Where-Object -Property IsMandatory | ForEach-Object -Process { $_.Name })
            (($mandatory | Sort-Object) -join ' ') | Should -BeExactly $sets[$set.Name]
            $free = @($set.Parameters | Where-Object -FilterScript { -not $_.IsMandatory -and $_.Name -notin $common }).Name
            $known = @('DefaultProfile') + $ours + $(if ($name -like 'Remove-*') { 'PassThru' })
            ($free | Sort-Object) | Should -BeExactly ($known | Sort-Object)
        }
        $command.Parameters['DefaultProfile'].Aliases | Should -Be @('AzContext', 'AzureRmContext', 'AzureCredential')
        if ($sets.ContainsKey('ResourceId')) {
            $command.Parameters['ResourceId'].ParameterSets['ResourceId'].ValueFromPipelineByPropertyName | Should -BeTrue
        }
        $command.Parameters.ContainsKey('WhatIf') | Should -Be ($name -notlike 'Get-*')
    }
}

Describe 'a policy' {
    AfterEach {
        Get-AzJitNetworkAccessPolicy | Where-Object -Property Name -Like -Value 'ps-*' | Remove-AzJitNetworkAccessPolicy
    }

    It 'comes back with the properties and types of Az' {
        $made = New-TestPolicy -Name 'ps-one'
        $made.PSObject.Properties.Name | Should -BeExactly @('Id', 'Name', 'Kind', 'VirtualMachines', 'Requests', 'ProvisioningState')
        $made.Id | Should -Be "$PolicyRoot/ps-one"
        $made.Kind | Should -BeExactly 'Basic'
        $rule = $made.VirtualMachines[0].Ports[0]
        ($rule.PSObject.Properties.Name | Sort-Object) | Should -BeExactly @(
            'AllowedSourceAddressPrefix', 'AllowedSourceAddressPrefixes', 'MaxRequestAccessDuration', 'Number', 'Protocol')
        $rule.Number | Should -BeOfType [int]
        $rule.MaxRequestAccessDuration | Should -BeExactly 'PT3H'
        $rule.AllowedSourceAddressPrefixes | Should -BeNull
        , $made.Requests | Should -BeOfType [array]
    }

    It 'is found in all four ways' {
        $null = New-TestPolicy -Name 'ps-one'
        (Get-AzJitNetworkAccessPolicy).Name | Should -Contain 'ps-one'
        (Get-AzJitNetworkAccessPolicy -ResourceGroupName $World.resource_group.ToUpper()).Name | Should -Contain 'ps-one'
        (Get-AzJitNetworkAccessPolicy -ResourceGroupName $World.resource_group -Location $World.location -Name 'ps-one').Name | Should -Be 'ps-one'
        ([pscustomobject]@{ ResourceId = "$PolicyRoot/ps-one" } | Get-AzJitNetworkAccessPolicy).Name | Should -Be 'ps-one'
        (Get-AzJitNetworkAccessPolicy -AzContext (Get-BasculeContext)).Name | Should -Contain 'ps-one'
    }

    It 'is set from what was read, and by property names' {
        $null = New-TestPolicy -Name 'ps-one'
        $read = Get-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-one"
        $read.VirtualMachines[0].Ports[0].MaxRequestAccessDuration = 'PT1H'
        $row = [pscustomobject]@{
            ResourceGroupName = $World.resource_group; Location = $World.location; Name = 'ps-one'; Kind = 'Basic'
            VirtualMachine    = $read.VirtualMachines
        }
        $set = $row | Set-AzJitNetworkAccessPolicy -ErrorAction Stop
        $set.VirtualMachines[0].Ports[0].MaxRequestAccessDuration | Should -BeExactly 'PT1H'
    }

    It 'takes several prefixes in the singular, which Az would join into one' {
        $machine = @{ ID = $World.machine.id; Ports = @(@{ NUMBER = '22'; protocol = 'TCP'
                    allowedSourceAddressPrefix = @('192.0.2.0/24', '198.51.100.0/24'); maxRequestAccessDuration = [timespan]'01:00:00' }) }
        $made = Set-AzJitNetworkAccessPolicy -Kind Basic -Location $World.location -Name 'ps-one' -ErrorAction Stop `
            -ResourceGroupName $World.resource_group -VirtualMachine $machine
        $made.VirtualMachines[0].Ports[0].AllowedSourceAddressPrefixes | Should -Be @('192.0.2.0/24', '198.51.100.0/24')
    }

    It 'is neither set, nor started, nor removed by -WhatIf' {
        $null = New-TestPolicy -Name 'ps-one'
        $machine = @{ id = $World.machine.id; ports = @{ number = 22; duration = 'PT5M' } }
        Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-one" -VirtualMachine $machine -WhatIf | Should -BeNullOrEmpty
        Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-one" -PassThru -WhatIf | Should -BeNullOrEmpty
        $WhatIfPreference = $true  # of the script that calls, as compiled cmdlets heed it
        New-TestPolicy -Name 'ps-two' | Should -BeNullOrEmpty
        $WhatIfPreference = $false
        $left = @(Get-AzJitNetworkAccessPolicy | Where-Object -Property Name -Like -Value 'ps-*')
        $left.Name | Should -Be 'ps-one'
        $left[0].Requests | Should -BeNullOrEmpty
    }

    It 'is removed in all three ways, and twice is no error' {
        foreach ($name in 'ps-one', 'ps-two', 'ps-three') { $null = New-TestPolicy -Name $name }
        $where = @{ ResourceGroupName = $World.resource_group; Location = $World.location }
        Remove-AzJitNetworkAccessPolicy @where -Name 'ps-one' -PassThru | Should -BeTrue
        [pscustomobject]@{ ResourceId = "$PolicyRoot/ps-two" } | Remove-AzJitNetworkAccessPolicy
        Get-AzJitNetworkAccessPolicy @where -Name 'ps-three' | Remove-AzJitNetworkAccessPolicy
        (Get-AzJitNetworkAccessPolicy).Name | Should -Not -Contain 'ps-one'
        @((Get-AzJitNetworkAccessPolicy).Name) -like 'ps-*' | Should -BeNullOrEmpty
        { Remove-AzJitNetworkAccessPolicy @where -Name 'ps-one' -ErrorAction Stop } | Should -Not -Throw
    }
}

Describe 'a request' {
    BeforeAll { $null = New-TestPolicy -Name 'ps-ask' }
    AfterAll { Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask" }

    It 'comes back with the properties and types of Az, and its end to the seventh digit' {
        $end = [datetime]::UtcNow.AddMinutes(20).AddTicks(7)
        $machine = @{ id = $World.machine.id; ports = @{ number = 22; endTimeUtc = $end.ToString('o'); allowedSourceAddressPrefix = @($World.client_address) } }
        $made = Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask" -VirtualMachine $machine -Justification 'a test' -ErrorAction Stop
        foreach ($name in 'VirtualMachines', 'StartTimeUtc', 'Requestor') {
            $made.PSObject.Properties.Name | Should -Contain $name
        }
        $made.StartTimeUtc | Should -BeOfType [datetime]
        $made.StartTimeUtc.Kind | Should -Be 'Utc'
        $made.VirtualMachines[0].Ports[0].EndTimeUtc.Ticks | Should -Be $end.Ticks
        $made.Justification | Should -Be 'a test'
        $made.VirtualMachines[0].Ports[0].Status | Should -Be 'Initiating'
        $listed = (Get-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask").Requests
        $listed.RequestId | Should -Contain $made.RequestId
    }

    It 'takes an end as <what>' -ForEach @(
        @{ what = 'a DateTime of here'; end = { [datetime]::Now.AddMinutes(20) } }
        @{ what = 'a DateTime in UTC'; end = { [datetime]::UtcNow.AddMinutes(20) } }
        @{ what = 'a DateTimeOffset'; end = { [datetimeoffset]::Now.AddMinutes(20) } }
        @{ what = 'text that a cast would take'; end = { [datetime]::UtcNow.AddMinutes(20).ToString([cultureinfo]::InvariantCulture) } }
        @{ what = 'text without a zone'; end = { [datetime]::UtcNow.AddMinutes(20).ToString('s') } }
    ) {
        $ask = [pscustomobject]@{
            ResourceGroupName = $World.resource_group; Location = $World.location; Name = 'ps-ask'
            VirtualMachine    = @(@{ id = $World.machine.id; ports = @(@{ number = 22; endTimeUtc = (& $end); allowedSourceAddressPrefix = '192.0.2.9' }) })
        }
        $made = $ask | Start-AzJitNetworkAccessPolicy -ErrorAction Stop
        ($made.VirtualMachines[0].Ports[0].EndTimeUtc - [datetime]::UtcNow).TotalMinutes | Should -BeGreaterThan 18
        ($made.VirtualMachines[0].Ports[0].EndTimeUtc - [datetime]::UtcNow).TotalMinutes | Should -BeLessThan 20.1
    }

    It 'takes -Duration as <span> for ports that name no end' -ForEach @(
        @{ span = 'PT20M' }, @{ span = '00:20:00' }, @{ span = [timespan]::FromMinutes(20) }
    ) {
        $made = Start-AzJitNetworkAccessPolicy -ResourceGroupName $World.resource_group -Location $World.location -Name 'ps-ask' `
            -VirtualMachine @{ id = $World.machine.id; ports = @{ number = 22; allowedSourceAddressPrefix = '192.0.2.9' } } `
            -Duration $span -ErrorAction Stop
        ($made.VirtualMachines[0].Ports[0].EndTimeUtc - $made.StartTimeUtc).TotalMinutes | Should -BeGreaterThan 19.9
    }

    It 'that may not be is told with <code>, and nothing is asked' -ForEach @(
        @{ code = 'PortNotInPolicy'; port = @{ number = 80; duration = 'PT5M'; allowedSourceAddressPrefix = '192.0.2.9' } }
        @{ code = 'DurationTooLong'; port = @{ number = 22; duration = 'PT9H'; allowedSourceAddressPrefix = '192.0.2.9' } }
        @{ code = 'EndTimePassed'; port = @{ number = 22; endTimeUtc = '2020-07-15T17:00:00.3658798Z'; allowedSourceAddressPrefix = '192.0.2.9' } }
        @{ code = 'InvalidVirtualMachine'; port = @{ number = 22; duration = 'PT5M'; allowedSourceAdressPrefix = '192.0.2.9' } }
        @{ code = 'InvalidDuration'; port = @{ number = 22; duration = 2; allowedSourceAddressPrefix = '192.0.2.9' } }
        @{ code = 'MissingField'; port = @{ number = 22; allowedSourceAddressPrefix = '192.0.2.9' } }
    ) {
        $before = @((Get-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask").Requests).Count
        $failure = Get-TestError -Of {
            Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask" -VirtualMachine @{ id = $World.machine.id; ports = $port } -ErrorAction Stop
        }
        $all = @($failure.FullyQualifiedErrorId.Split(',')[0]) + "$failure"
        "$all" | Should -Match "$code|is not a subset"
        $failure.ErrorDetails.RecommendedAction | Should -Not -BeNullOrEmpty
        @((Get-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask").Requests).Count | Should -Be $before
    }

    It 'tells every reason at once' {
        $failure = Get-TestError -Of {
            Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask" -ErrorAction Stop -VirtualMachine @{
                id = $World.machine.id; ports = @(@{ number = 80; duration = 'PT5M'; allowedSourceAddressPrefix = '192.0.2.9' }, @{ number = 22; duration = 'PT9H'; allowedSourceAddressPrefix = '192.0.2.9' })
            }
        }
        @($failure.Exception.Data['Reasons']).Count | Should -BeGreaterOrEqual 2
        $failure.ErrorDetails.Message | Should -Match '80'
        $failure.ErrorDetails.Message | Should -Match 'PT3H|3 h'
    }

    It 'for an unknown machine is told so' {
        $failure = Get-TestError -Of {
            Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-ask" -ErrorAction Stop -VirtualMachine @{
                id = $World.machine.id -replace '[^/]+$', 'nobody'; ports = @{ number = 22; duration = 'PT5M'; allowedSourceAddressPrefix = '192.0.2.9' }
            }
        }
        "$failure" | Should -Match 'nobody'
    }
}

Describe 'errors go the way of compiled cmdlets' {
    BeforeAll { $absent = @{ ResourceGroupName = $World.resource_group; Location = $World.location; Name = 'absent' } }

    It 'stops a script that says so, and its own module does not decide' {
        $reached = & {
            $ErrorActionPreference = 'Stop'
            try { Get-AzJitNetworkAccessPolicy @absent; 'went on' } catch { 'stopped' }
        }
        $reached | Should -Be 'stopped'
    }

    It 'goes on where the script goes on' {
        $reached = & {
            $ErrorActionPreference = 'Continue'
            Get-AzJitNetworkAccessPolicy @absent 2>$null
            'went on'
        }
        $reached | Should -Be 'went on'
    }

    It 'is silent when told, and can be looked at afterwards' {
        Get-AzJitNetworkAccessPolicy @absent -ErrorAction SilentlyContinue -ErrorVariable failure | Should -BeNullOrEmpty
        $failure[-1].FullyQualifiedErrorId | Should -BeExactly 'ResourceNotFound,Get-AzJitNetworkAccessPolicy'
        $failure[-1].CategoryInfo.Category | Should -Be 'ObjectNotFound'
        $failure[-1].TargetObject | Should -Be "$PolicyRoot/absent"
    }

    It 'goes on with the next of a pipeline' {
        $null = New-TestPolicy -Name 'ps-next'
        $found = 'absent', 'ps-next' | ForEach-Object -Process { [pscustomobject]@{ ResourceId = "$PolicyRoot/$_" } } |
            Get-AzJitNetworkAccessPolicy -ErrorAction SilentlyContinue
        $found.Name | Should -Be 'ps-next'
        Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ps-next"
    }

    It 'takes no name that leads elsewhere: <name>' -ForEach @(
        @{ name = '..' }, @{ name = 'default/initiate' }, @{ name = '../../../../virtualMachines/web-1' }
    ) {
        $failure = Get-TestError -Of {
            Remove-AzJitNetworkAccessPolicy -ResourceGroupName $World.resource_group -Location $World.location -Name $name -ErrorAction Stop
        }
        $failure.FullyQualifiedErrorId | Should -BeExactly 'InvalidResourceId,Remove-AzJitNetworkAccessPolicy'
    }

    It 'takes no id of something else' {
        $failure = Get-TestError -Of { Get-AzJitNetworkAccessPolicy -ResourceId $World.machine.id -ErrorAction Stop }
        $failure.FullyQualifiedErrorId | Should -BeExactly 'InvalidResourceId,Get-AzJitNetworkAccessPolicy'
    }
}
