# What Enter-BasculeSSH makes of its words, and the least role that can ask.
#
# That it really gets in stands in tests/e2e/test_powershell_ssh.py, which runs it on the
# lab's client: from here every address is the loopback's.

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    Connect-TestAdmin
}

AfterAll {
    Disconnect-Bascule
}

Describe 'Words for ssh' {
    It '<Words> are options <Options>, command <Command>, port <Port>, family <Family>' -ForEach @(
        @{ Words = @(); Options = @(); Command = @(); Port = 0; Family = 0 }
        @{ Words = @('-vN', 'uptime', '-p'); Options = @('-v', '-N'); Command = @('uptime', '-p'); Port = 0; Family = 0 }
        @{ Words = @('-L8080:x:80', '-6'); Options = @('-L', '8080:x:80', '-6'); Command = @(); Port = 0; Family = 6 }
        @{ Words = @('-vp', '2222', '-o', 'Port=33'); Options = @('-v'); Command = @(); Port = 2222; Family = 0 }
        @{ Words = @('-oport 33'); Options = @(); Command = @(); Port = 33; Family = 0 }
        @{ Words = @('--', '-p', '1'); Options = @(); Command = @('-p', '1'); Port = 0; Family = 0 }
    ) {
        $line = InModuleScope -ModuleName Bascule -Parameters @{ Words = $Words } -ScriptBlock {
            Split-BasculeSshArgument -Argument $Words
        }
        @($line.Options) -join '|' | Should -BeExactly ($Options -join '|')
        @($line.Command) -join '|' | Should -BeExactly ($Command -join '|')
        $line.Command.Count | Should -Be $Command.Count
        $line.Port | Should -Be $Port
        $line.Family | Should -Be $Family
    }

    It 'refuses <_>' -ForEach @('-p', '-p0', '-pssh', '-p65536', '-oPort=99999', '-L') {
        $caught = $null
        try {
            InModuleScope -ModuleName Bascule -Parameters @{ Word = $_ } -ScriptBlock {
                Split-BasculeSshArgument -Argument $Word
            }
        } catch {
            $caught = $_
        }
        $caught.FullyQualifiedErrorId | Should -Match '^(InvalidPort|InvalidSshOption)'
    }
}

Describe 'The address to connect to' {
    It 'of <Addresses>, granted from <Sources>, is <Found>' -ForEach @(
        @{ Sources = @('192.0.2.7'); Addresses = @('2001:db8::1', '192.0.2.1'); Family = 0; Found = '192.0.2.1' }
        @{ Sources = @('2001:db8::/64'); Addresses = @('192.0.2.1', '2001:db8::1'); Family = 0; Found = '2001:db8::1' }
        @{ Sources = @('*'); Addresses = @('192.0.2.1', '2001:db8::1'); Family = 6; Found = '2001:db8::1' }
        @{ Sources = @('::/0'); Addresses = @('192.0.2.1'); Family = 0; Found = $null }
        @{ Sources = @('192.0.2.7'); Addresses = @('2001:db8::1'); Family = 0; Found = $null }
        @{ Sources = @('192.0.2.7'); Addresses = @('-oProxyCommand=x', 'fe80::1%eth0'); Family = 0; Found = $null }
        @{ Sources = @('192.0.2.7'); Addresses = @(); Family = 0; Found = $null }
    ) {
        $ask = {
            $grant = [pscustomobject]@{ Machine = 'web-1'; Sources = $Sources; Addresses = $Addresses }
            Get-BasculeReachableAddress -Grant $grant -Family $Family
        }
        $given = @{ Sources = $Sources; Addresses = $Addresses; Family = $Family }
        if ($null -ne $Found) {
            InModuleScope -ModuleName Bascule -Parameters $given -ScriptBlock $ask | Should -BeExactly $Found
        } else {
            { InModuleScope -ModuleName Bascule -Parameters $given -ScriptBlock $ask } |
                Should -Throw -ErrorId 'NoAddressInFamily'
        }
    }
}

Describe 'Where a gateway leads' {
    It 'granted from <Sources> by <Public>, is <Found>' -ForEach @(
        @{ Sources = @('192.0.2.7'); Public = '198.51.100.80'; Number = 2001; Protocol = 'TCP'; Found = '198.51.100.80 2001' }
        @{ Sources = @('2001:db8::/64'); Public = '2001:db8::80'; Number = 2002; Protocol = 'TCP'; Found = '2001:db8::80 2002' }
        @{ Sources = @('192.0.2.7'); Public = '2001:db8::80'; Number = 2002; Protocol = 'TCP'; Found = '192.0.2.1 22' }
        @{ Sources = @('192.0.2.7'); Public = '198.51.100.80'; Number = 2001; Protocol = 'UDP'; Found = '192.0.2.1 22' }
        @{ Sources = @('192.0.2.7'); Public = '-oProxyCommand=x'; Number = 2001; Protocol = 'TCP'; Found = '192.0.2.1 22' }
        @{ Sources = @('192.0.2.7'); Public = '198.51.100.80'; Number = 70000; Protocol = 'TCP'; Found = '192.0.2.1 22' }
    ) {
        $given = @{ Sources = $Sources; Public = $Public; Number = $Number; Protocol = $Protocol }
        $door = InModuleScope -ModuleName Bascule -Parameters $given -ScriptBlock {
            $led = [pscustomobject]@{ PublicIpAddress = $Public; MappedPort = $Number; Protocol = $Protocol }
            $grant = [pscustomobject]@{
                Machine = 'app-1'; Number = 22; Sources = $Sources; Addresses = @('192.0.2.1'); PublicPorts = @($led)
            }
            Get-BasculeDoor -Grant $grant
        }
        "$($door.Address) $($door.Port)" | Should -BeExactly $Found
    }

    It 'gets in to port <Number> by <Public> with <Line>' -ForEach @(
        @{ Number = 22; Public = '198.51.100.80'; Line = 'ssh -p 2001 -o HostKeyAlias=app-1 198.51.100.80' }
        @{ Number = 22; Public = '2001:db8::80'; Line = 'ssh -p 2001 -o HostKeyAlias=app-1 2001:db8::80' }
        @{ Number = 3389; Public = '198.51.100.80'; Line = 'mstsc /v:198.51.100.80:2001' }
        @{ Number = 3389; Public = '2001:db8::80'; Line = 'mstsc /v:[2001:db8::80]:2001' }
        @{ Number = 5432; Public = '198.51.100.80'; Line = 'psql "host=198.51.100.80 port=2001"' }
        @{ Number = 5985; Public = '198.51.100.80'; Line = 'Enter-PSSession -ComputerName 198.51.100.80 -Port 2001 -Credential (Get-Credential)' }
        @{ Number = 5986; Public = '198.51.100.80'; Line = 'Enter-PSSession -ComputerName 198.51.100.80 -Port 2001 -UseSSL -Credential (Get-Credential)' }
        @{ Number = 5986; Public = '2001:db8::80'; Line = "Enter-PSSession -ConnectionUri 'https://[2001:db8::80]:2001/wsman' -Credential (Get-Credential)" }
        @{ Number = 1433; Public = '2001:db8::80'; Line = '[2001:db8::80]:2001' }
        @{ Number = 22; Public = ''; Line = 'ssh -o HostKeyAlias=app-1 192.0.2.1' }
        @{ Number = 22; Public = '$(reboot)'; Line = 'ssh -o HostKeyAlias=app-1 192.0.2.1' }
        @{ Number = 22; Public = '198.51.100.80'; Machine = 'a$(reboot)'; Line = '' }
        @{ Number = 22; Public = '198.51.100.80'; State = 'closing'; Line = '' }
    ) {
        $grant = @{
            Machine     = if ($_.ContainsKey('Machine')) { $_.Machine } else { 'app-1' }
            State       = if ($_.ContainsKey('State')) { $_.State } else { 'open' }
            Number      = $Number
            Protocol    = 'TCP'
            Sources     = @('*')
            Addresses   = @('192.0.2.1')
            PublicPorts = @([pscustomobject]@{ PublicIpAddress = $Public; MappedPort = 2001; Protocol = 'TCP' })
        }
        InModuleScope -ModuleName Bascule -Parameters @{ Grant = [pscustomobject] $grant } -ScriptBlock {
            Get-BasculeConnectLine -Grant $Grant
        } | Should -BeExactly $Line
    }

    It 'tells the public address and mapped port of a port, and nothing where none leads' {
        $told = InModuleScope -ModuleName Bascule -ScriptBlock {
            $data = [pscustomobject]@{
                number = 22; protocol = 'TCP'; endTimeUtc = '2030-01-01T00:00:00.0000000Z'; mappedPort = 2001
                allowedSourceAddressPrefix = '192.0.2.7'
                bascule = [pscustomobject]@{
                    state = 'open'
                    publicPorts = @([pscustomobject]@{ gateway = '/x/gw'; publicIpAddress = '198.51.100.80'; mappedPort = 2001; protocol = 'TCP' })
                }
            }
            ConvertTo-BasculeGrantedPort -Data $data -MachineId '/x/app-1' -Address @('10.1.0.10')
            $data.bascule.publicPorts = $null
            ConvertTo-BasculeGrantedPort -Data $data -MachineId '/x/app-1' -Address @('10.1.0.10')
        }
        $told[0].PublicIpAddress, $told[0].MappedPort, $told[0].PublicPorts[0].Gateway | Should -Be '198.51.100.80', 2001, 'gw'
        $told[1].PublicIpAddress | Should -BeNullOrEmpty
        $told[1].MappedPort | Should -BeNullOrEmpty
        @($told[1].PublicPorts).Count | Should -Be 0
    }
}

Describe 'Whether a source lets an address in' {
    It '<Source> and <Address>: <Answer>' -ForEach @(
        @{ Source = '192.0.2.7'; Address = '192.0.2.7'; Answer = $true }
        @{ Source = '192.0.2.7'; Address = '192.0.2.8'; Answer = $false }
        @{ Source = '192.0.2.0/25'; Address = '192.0.2.127'; Answer = $true }
        @{ Source = '192.0.2.0/25'; Address = '192.0.2.128'; Answer = $false }
        @{ Source = '2001:db8::/33'; Address = '2001:db8:7fff::1'; Answer = $true }
        @{ Source = '2001:db8::/33'; Address = '2001:db8:8000::1'; Answer = $false }
        @{ Source = '::/0'; Address = '192.0.2.7'; Answer = $false }
        @{ Source = '0.0.0.0/0'; Address = '192.0.2.7'; Answer = $true }
        @{ Source = '192.0.2.0/33'; Address = '192.0.2.7'; Answer = $false }
        @{ Source = '192.0.2.0/x'; Address = '192.0.2.7'; Answer = $false }
        @{ Source = 'nonsense'; Address = '192.0.2.7'; Answer = $false }
        @{ Source = ''; Address = '192.0.2.7'; Answer = $false }
        @{ Source = '*'; Address = '192.0.2.7'; Answer = $true }
    ) {
        InModuleScope -ModuleName Bascule -Parameters @{ Source = $Source; Address = $Address } -ScriptBlock {
            Test-BasculeAddressWithin -Address $Address -Source $Source
        } | Should -Be $Answer
    }
}

Describe 'Enter-BasculeSSH' {
    BeforeAll {
        $null = New-TestPolicy -Name 'ssh'
        $caughtBy = {
            param([scriptblock] $Do)
            try { & $Do | Out-Null } catch { return $_.FullyQualifiedErrorId.Split(',')[0] }
        }
    }
    AfterAll { Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/ssh" -ErrorAction Ignore }

    It 'refuses <Name> before anything is asked' -ForEach @(
        @{ Name = 'a user that is an option'; Code = 'InvalidUserName'; Do = { Enter-BasculeSSH -Machine '-oProxyCommand=x@web-1' -ErrorAction Stop } }
        @{ Name = 'a machine that is an option'; Code = 'InvalidMachineName'; Do = { Enter-BasculeSSH -Machine '-oProxyCommand=x' -ErrorAction Stop } }
        @{ Name = 'a bare number for a duration'; Code = 'InvalidDuration'; Do = { Enter-BasculeSSH -Machine web-1 -Duration 30 -ErrorAction Stop } }
        @{ Name = 'a policy that is not there'; Code = 'PolicyNotFound'; Do = { Enter-BasculeSSH -Machine web-1 -Policy none -ErrorAction Stop } }
    ) {
        $before = @(Get-BasculeAccessRequest).Count
        & $caughtBy $Do | Should -BeExactly $Code
        @(Get-BasculeAccessRequest).Count | Should -Be $before
    }

    It 'refuses a start that is none, or of an emergency, before anything is asked' {
        $before = @(Get-BasculeAccessRequest -Live).Count
        & $caughtBy { Enter-BasculeSSH -Machine web-1 -At 'tomorrow' -ErrorAction Stop } | Should -BeExactly 'InvalidStart'
        & $caughtBy {
            Enter-BasculeSSH -Machine web-1 -At ([datetime]::UtcNow.AddHours(1)) -Emergency -Justification 'x' -ErrorAction Stop
        } | Should -BeExactly 'EmergencyHasNoStart'
        @(Get-BasculeAccessRequest -Live).Count | Should -Be $before
    }

    It 'asks for a start with its own address, waits for it, and takes nothing that is open now' -Skip:(-not (Get-Command -Name ssh -ErrorAction Ignore)) {
        $at = [datetime]::SpecifyKind('2030-01-31T23:00:00', 'Utc')
        $script:sent = $null
        $script:waited = @()
        Mock -ModuleName Bascule -CommandName Find-BasculeLiveGrant -MockWith { throw 'what is open now may be over then' }
        Mock -ModuleName Bascule -CommandName Find-BasculeMachine -MockWith { [pscustomobject]@{ id = '/x/web-1'; name = 'web-1' } }
        Mock -ModuleName Bascule -CommandName Select-BasculePolicy -MockWith {
            [pscustomobject]@{ PolicyId = '/x/policy'; Port = 22; Duration = New-TimeSpan -Hours 1 }
        }
        Mock -ModuleName Bascule -CommandName Invoke-BasculeApi -ParameterFilter { $Path -like '*/providers/Bascule.Identity/me' } -MockWith {
            [pscustomobject]@{ properties = [pscustomobject]@{ address = '192.0.2.7' } }
        }
        Mock -ModuleName Bascule -CommandName Invoke-BasculeApi -ParameterFilter { $Path -like '*/initiate' } -MockWith {
            $script:sent = $Body
            [pscustomobject]@{ bascule = [pscustomobject]@{ requestId = 'r1'; state = 'scheduled' } }
        }
        Mock -ModuleName Bascule -CommandName Wait-BasculeRequestState -MockWith {
            $script:waited += , @($While)
            $port = [pscustomobject]@{
                Machine = 'web-1'; Number = 22; Protocol = 'TCP'; State = 'open'; Sources = @('192.0.2.7')
                Addresses = @('192.0.2.1'); PublicPorts = @(); ApprovedUntil = $null
            }
            [pscustomobject]@{ RequestId = 'r1'; State = 'open'; Ports = @($port); Approval = $null; Reasons = @() }
        }
        $way = InModuleScope -ModuleName Bascule -Parameters @{ At = $at; Cmdlet = $null } -ScriptBlock {
            function Open-TestWay {
                [CmdletBinding(SupportsShouldProcess)] param([object] $At)
                Open-BasculeSshWay -Machine web-1 -At $At -UpTo '2h' -Cmdlet $PSCmdlet
            }
            Open-TestWay -At $At -WarningVariable said -WarningAction SilentlyContinue
            $script:saidThen = @($said)
        }
        $port = $sent.virtualMachines[0].ports[0]
        $sent.bascule.startTimeUtc | Should -BeExactly '2030-01-31T23:00:00.0000000Z'
        $port.allowedSourceAddressPrefix | Should -BeExactly '192.0.2.7'
        $port.duration | Should -Not -BeNullOrEmpty
        $waited[0] | Should -Be @('waiting', 'scheduled')
        $waited[1] | Should -Be @('opening')
        $way.Words[-1] | Should -BeExactly '192.0.2.1'
        $said = InModuleScope -ModuleName Bascule -ScriptBlock { $script:saidThen }
        "$($said[0])" | Should -Match 'waits for its start.*2030-01-31T23:00.*Stop-BasculeAccessRequest'
        "$($said[1])" | Should -Match 'Nobody had to approve this, so -UpTo changed nothing'
    }

    It 'puts no name into a command that the server made up' {
        Mock -ModuleName Bascule -CommandName Find-BasculeMachine -MockWith {
            [pscustomobject]@{ id = $World.machine.id; name = 'web-1 -oProxyCommand=x' }
        }
        & $caughtBy { Enter-BasculeSSH -Machine web-1 -ErrorAction Stop } | Should -BeExactly 'InvalidMachineName'
    }

    It 'asks for nothing when it is only asked what would happen' -Skip:(-not (Get-Command -Name ssh -ErrorAction Ignore)) {
        $before = @(Get-BasculeAccessRequest).Count
        Enter-BasculeSSH -Machine web-1 -WhatIf | Should -BeNullOrEmpty
        @(Get-BasculeAccessRequest).Count | Should -Be $before
    }
}

Describe 'New-BasculeRequestorRole' {
    It 'makes nothing when it is only asked what would happen' {
        New-BasculeRequestorRole -Name 'Not made' -WhatIf | Should -BeNullOrEmpty
        InModuleScope -ModuleName Bascule -ScriptBlock { Find-BasculeRequestorRole -Name 'Not made' } | Should -BeNullOrEmpty
    }

    It 'makes the role, assignable everywhere, and gives it to nobody' {
        $made = New-BasculeRequestorRole -Name 'Pester requestor' -ForApiOnly -Confirm:$false
        $made.Actions.Count | Should -Be 4
        $made.AssignedTo | Should -BeNullOrEmpty
    }

    It 'takes one that allows the same as it is, and gives it once' {
        $first = New-BasculeRequestorRole -Name 'Pester requestor' -ForApiOnly -AssignTo $World.client_id -Machine web-1
        $again = New-BasculeRequestorRole -Name 'Pester requestor' -ForApiOnly -AssignTo $World.client_id -Machine web-1
        $first.Scope | Should -Be $World.machine.id
        $first.AssignedTo | Should -Be $World.client_id
        $again.RoleId | Should -Be $first.RoleId
        $again.AssignmentId | Should -Be $first.AssignmentId
    }

    It 'leaves one that allows something else as it is' {
        { New-BasculeRequestorRole -Name 'Pester requestor' -ErrorAction Stop } |
            Should -Throw -ErrorId 'RoleDefinitionWithSameNameExists*'
    }

    It 'makes nothing when a name is wrong: <Name>' -ForEach @(
        @{ Name = 'nobody'; Code = 'PrincipalNotFound*'; With = @{ AssignTo = 'nobody' } }
        @{ Name = 'nowhere'; Code = 'MachineNotFound*'; With = @{ AssignTo = 'me'; Machine = 'nowhere' } }
        @{ Name = 'a place without a person'; Code = 'NobodyNamed*'; With = @{ Machine = 'web-1' } }
        @{ Name = 'two places'; Code = 'AmbiguousScope*'; With = @{ AssignTo = 'me'; Machine = 'web-1'; ResourceGroupName = 'default' } }
    ) {
        { New-BasculeRequestorRole -Name 'Never made' @With -ErrorAction Stop } | Should -Throw -ErrorId $Code
        InModuleScope -ModuleName Bascule -ScriptBlock { Find-BasculeRequestorRole -Name 'Never made' } | Should -BeNullOrEmpty
    }
}

Describe 'A server that is lost while it is waited for' {
    It 'leaves word of the request that stands' {
        $result = InModuleScope -ModuleName Bascule -ScriptBlock {
            Mock -CommandName Get-BasculeRequestCollection -MockWith { '/accessRequests' }
            Mock -CommandName Invoke-BasculeApi -ParameterFilter { $Method -eq 'POST' } -MockWith {
                [pscustomobject]@{ bascule = [pscustomobject]@{ requestId = '3f2a91c0'; state = 'opening' } }
            }
            Mock -CommandName Invoke-BasculeApi -ParameterFilter { $Method -eq 'GET' } -MockWith {
                throw (New-BasculeErrorRecord -Code 'ServerUnreachable' -Message 'It is gone.')
            }
            $machine = [pscustomobject]@{ id = '/m'; name = 'web-1' }
            $choice = [pscustomobject]@{ Port = 22; PolicyId = '/p' }
            $said = $null
            try {
                Request-BasculePort -Machine $machine -Choice $choice -Duration 'PT1H' `
                    -WarningVariable said -WarningAction SilentlyContinue
            } catch {
                [pscustomobject]@{ Id = $_.FullyQualifiedErrorId; Said = "$said" }
            }
        }
        $result.Id | Should -Match '^ServerUnreachable'
        $result.Said | Should -BeLike '*may still open*Stop-BasculeAccessRequest -Id 3f2a91c0'
    }
}
