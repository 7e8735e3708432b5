# Requests as they live: asked for, waited for, seen, ended; and what the errors say.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    Connect-TestAdmin
    $null = New-TestPolicy -Name 'requests'

    function Start-TestAccess {
        param([int] $Seconds = 120, [string] $Why = 'a test')
        $machine = @{
            id    = $World.machine.id
            ports = @{ number = 22; duration = "PT${Seconds}S"; allowedSourceAddressPrefix = $World.client_address }
        }
        Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/requests" -VirtualMachine $machine -Justification $Why -ErrorAction Stop
    }
}

AfterAll {
    Get-BasculeAccessRequest -Live | Stop-BasculeAccessRequest -Confirm:$false -ErrorAction SilentlyContinue | Out-Null
    Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/requests" -ErrorAction Ignore
    Disconnect-Bascule
}

Describe 'A request from its beginning to its end' -Skip:(-not $isLab) {
    BeforeAll {
        $opened = Start-TestAccess | Wait-BasculeAccessRequest -ErrorAction Stop
    }

    It 'is passed on when the firewall really has it open' {
        $opened.State | Should -Be 'open'
        $opened.Ports[0].State | Should -Be 'open'
        Wait-Until -That { Test-LabReach -From $World.client } | Should -BeTrue
        Test-LabReach -From $World.stranger | Should -BeFalse
    }

    It 'has its time, its reason and its requestor' {
        $opened.Justification | Should -Be 'a test'
        $opened.EndTimeUtc.Kind | Should -Be 'Utc'
        ($opened.EndTimeUtc - $opened.StartTimeUtc).TotalSeconds | Should -BeGreaterThan 100
        $opened.Ports[0].Machine | Should -Be 'web-1'
        $opened.Ports[0].Sources | Should -Be $World.client_address
    }

    It 'is found by its id, by the first characters of it, by machine and by requestor' {
        (Get-BasculeAccessRequest -Id $opened.RequestId).RequestId | Should -Be $opened.RequestId
        (Get-BasculeAccessRequest -Id $opened.Id).RequestId | Should -Be $opened.RequestId
        (Get-BasculeAccessRequest -Id $opened.RequestId.Substring(0, 13)).RequestId | Should -Be $opened.RequestId
        (Get-BasculeAccessRequest -Machine web-1 -Requestor me -Live).RequestId | Should -Contain $opened.RequestId
        (Get-BasculeAccessRequest -Requestor $opened.RequestorId -Live).RequestId | Should -Contain $opened.RequestId
        @(Get-BasculeAccessRequest -Machine db-1 -Live | ForEach-Object { $_.RequestId }) | Should -Not -Contain $opened.RequestId
    }

    It 'is shown with the time that is left' {
        $shown = $opened | Out-String -Width 160
        $shown | Should -Match 'Left'
        $shown | Should -Match '0:0[01]:\d\d'
        $shown | Should -Match 'web-1 22/'
    }

    It 'stands among what is open on its machine' {
        $machine = Get-BasculeMachine -Name web-1
        $machine.State | Should -Be 'configured'
        $machine.Agent | Should -Be 'online'
        $machine.Addresses | Should -Contain $World.machine.address
        $machine.OpenNow.GrantId | Should -Contain $opened.Ports[0].GrantId
        (Get-BasculeMachine | Where-Object { $_.Name -eq 'db-1' }).OpenNow | Should -BeNullOrEmpty
        $machine | Out-String -Width 160 | Should -Match '22/tcp'
    }

    It 'stays when it is only asked what would happen' {
        $opened | Stop-BasculeAccessRequest -WhatIf
        (Get-BasculeAccessRequest -Id $opened.RequestId).State | Should -Be 'open'
    }

    It 'is shut when it is stopped, and was read back so' {
        $ended = Get-BasculeAccessRequest -Id $opened.RequestId | Stop-BasculeAccessRequest -Confirm:$false
        $ended.State | Should -Be 'closed'
        $ended.Ports[0].StatusReason | Should -Be 'UserRequested'
        Test-LabReach -From $World.client | Should -BeFalse
    }

    It 'is waited for until it has shut by itself' {
        $short = Start-TestAccess -Seconds 10
        $closed = $short | Wait-BasculeAccessRequest -Until Closed -TimeoutSeconds 60
        $closed.State | Should -Be 'closed'
        [datetime]::UtcNow | Should -BeGreaterOrEqual $closed.EndTimeUtc
    }

    It 'says so when the waiting was not long enough, and passes nothing on' {
        $long = Start-TestAccess
        $null = $long | Wait-BasculeAccessRequest
        $got = $long | Wait-BasculeAccessRequest -Until Closed -TimeoutSeconds 1 -ErrorAction SilentlyContinue -ErrorVariable problem
        $got | Should -BeNullOrEmpty
        $problem[0].FullyQualifiedErrorId | Should -BeLike 'WaitTimeout*'
        $problem[0].CategoryInfo.Category | Should -Be 'OperationTimeout'
        $null = $long | Stop-BasculeAccessRequest -Kill -Confirm:$false
    }
}

Describe 'What is in no agent''s hands' -Skip:(-not $isLab) {
    It 'is a machine without a port, and says why' {
        $machine = Get-BasculeMachine -Name legacy-1
        $machine.Agent | Should -Be 'none'
        $machine.Reasons | Should -Not -BeNullOrEmpty
        $machine.Ports | Should -BeNullOrEmpty
        (Get-BasculeMachine -State $machine.State).Name | Should -Contain 'legacy-1'
    }
}

Describe 'What is asked wrongly' {
    It '<Name>' -ForEach @(
        @{ Name = 'an id that is none'; Code = 'InvalidRequestId'; Do = { Get-BasculeAccessRequest -Id '../me' } }
        @{ Name = 'an id of nobody'; Code = 'RequestNotFound'; Do = { Get-BasculeAccessRequest -Id 'ffffffffff' } }
        @{ Name = 'a whole id of nobody'; Code = '*NotFound'; Do = { Get-BasculeAccessRequest -Id 'ffffffff-ffff-4fff-8fff-ffffffffffff' } }
        @{ Name = 'a machine that is not there'; Code = 'MachineNotFound'; Do = { Get-BasculeMachine -Name 'nowhere' } }
        @{ Name = 'a machine''s name that is a filter'; Code = 'InvalidMachineName'; Do = { Get-BasculeAccessRequest -Machine "x' or live eq 'true" } }
        @{ Name = 'a requestor who is not there'; Code = 'PrincipalNotFound'; Do = { Get-BasculeAccessRequest -Requestor 'nobody' } }
        @{ Name = 'ending what is not there'; Code = '*NotFound'; Do = { Stop-BasculeAccessRequest -Id 'ffffffff-ffff-4fff-8fff-ffffffffffff' -Confirm:$false } }
    ) {
        $caught = $null
        try {
            $ErrorActionPreference = 'Stop'
            & $Do | Out-Null
        } catch {
            $caught = $_
        }
        $caught.FullyQualifiedErrorId.Split(',')[0] | Should -BeLike $Code
        $caught.ErrorDetails.Message | Should -Not -BeNullOrEmpty
    }

    It 'does not keep the others of a pipeline from being answered' {
        $got = @('nowhere', 'web-1' | Get-BasculeMachine -ErrorAction Continue 2>&1)
        $got.Count | Should -Be 2
        $got[0] | Should -BeOfType [System.Management.Automation.ErrorRecord]
        $got[1].Name | Should -Be 'web-1'
    }
}

Describe 'Without a connection' {
    BeforeAll { Disconnect-Bascule }
    AfterAll { Connect-TestAdmin }

    It '<_> says how to connect' -ForEach @(
        'Get-BasculeAccessRequest', 'Get-BasculeMachine', 'Get-BasculeActivity', 'New-BasculeRequestorRole'
    ) {
        $caught = $null
        try { & $_ -ErrorAction Stop | Out-Null } catch { $caught = $_ }
        $caught.FullyQualifiedErrorId | Should -BeLike 'NotConnected,*'
        $caught.ErrorDetails.RecommendedAction | Should -BeLike '*Connect-Bascule*'
    }

    It 'the Tab key says nothing' {
        $line = 'Get-BasculeMachine -Name we'
        $found = TabExpansion2 -inputScript $line -cursorColumn $line.Length
        @($found.CompletionMatches | ForEach-Object { $_.CompletionText }) | Should -Not -Contain 'web-1'
    }
}

Describe 'The Tab key' {
    It 'completes <Line>' -ForEach @(
        @{ Line = 'Get-BasculeMachine -Name we'; Word = 'web-1' }
        @{ Line = 'Enter-BasculeSSH -Machine WE'; Word = 'web-1' }
        @{ Line = 'Get-BasculeActivity -Machine we'; Word = 'web-1' }
        @{ Line = 'Start-AzJitNetworkAccessPolicy -Name requ'; Word = 'requests' }
        @{ Line = 'Get-AzJitNetworkAccessPolicy -Location lo'; Word = 'local' }
    ) {
        Wait-Until -That {
            (TabExpansion2 -inputScript $Line -cursorColumn $Line.Length).CompletionMatches.CompletionText -contains $Word
        } | Should -BeTrue -Because 'a server that is slow once is asked again at the next press'
    }

    It 'gives up soon on a server that does not answer, and says nothing' {
        $listener = [System.Net.Sockets.TcpListener]::new([System.Net.IPAddress]::Loopback, 0)
        $listener.Start()
        try {
            $silent = "https://localhost:$($listener.LocalEndpoint.Port)"
            $found = InModuleScope -ModuleName Bascule -Parameters @{ Silent = $silent } -ScriptBlock {
                $kept = $script:Session.Endpoint
                $script:Session.Endpoint = $Silent
                $watch = [System.Diagnostics.Stopwatch]::StartNew()
                try { $names = @(Get-BasculeCompletion -Kind Machine -Word '') } finally { $script:Session.Endpoint = $kept }
                @{ Names = $names; Seconds = $watch.Elapsed.TotalSeconds }
            }
            $found.Names | Should -BeNullOrEmpty
            $found.Seconds | Should -BeLessThan 10
        } finally {
            $listener.Stop()
        }
    }
}
