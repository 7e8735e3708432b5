# Requests with a start, with a longest length, and for emergency access: what they open, and what they do not.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"

    function Start-TestAccess {
        param([hashtable] $Port = @{ allowedSourceAddressPrefix = $World.client_address }, [hashtable] $More = @{})
        $machine = @{ id = $World.machine.id; ports = @{ number = 22 } + $Port }
        $asking = @{ ResourceId = "$PolicyRoot/starts"; VirtualMachine = $machine; Duration = '10m' } + $More
        Start-AzJitNetworkAccessPolicy @asking -ErrorVariable failed -ErrorAction SilentlyContinue
        if ($failed) { $failed[0].FullyQualifiedErrorId.Split(',')[0] }
    }
}

Describe 'The start' {
    BeforeAll {
        $zone = $env:TZ
        $env:TZ = 'Europe/Paris'
        [System.TimeZoneInfo]::ClearCachedData()

        function ConvertTo-TestStart {
            param([object] $At)
            try {
                InModuleScope -ModuleName Bascule -Parameters @{ At = $At } -ScriptBlock { ConvertTo-BasculeStart -At $At }
            } catch {
                $_.FullyQualifiedErrorId.Split(',')[0]
            }
        }
    }

    AfterAll {
        $env:TZ = $zone
        [System.TimeZoneInfo]::ClearCachedData()
    }

    It 'of <At> is <Found>' -Skip:($env:OS -eq 'Windows_NT') -ForEach @(
        @{ At = '2030-01-31T23:00Z'; Found = '2030-01-31T23:00:00.0000000Z' }
        @{ At = '2030-01-31T23:00'; Found = '2030-01-31T22:00:00.0000000Z' }
        @{ At = '2030-07-31T23:00:05'; Found = '2030-07-31T21:00:05.0000000Z' }
        @{ At = '2030-01-31T23:00:00.5-05:00'; Found = '2030-02-01T04:00:00.5000000Z' }
        @{ At = [datetime]::new(2030, 1, 31, 23, 0, 0); Found = '2030-01-31T22:00:00.0000000Z' }
        @{ At = [datetime]::SpecifyKind('2030-01-31T23:00:00', 'Local'); Found = '2030-01-31T22:00:00.0000000Z' }
        @{ At = [datetime]::SpecifyKind('2030-01-31T23:00:00', 'Utc'); Found = '2030-01-31T23:00:00.0000000Z' }
        @{ At = [datetimeoffset]::new(2030, 1, 31, 23, 0, 0, [timespan]::FromHours(2)); Found = '2030-01-31T21:00:00.0000000Z' }
        @{ At = '2030-03-31T02:30'; Found = 'AmbiguousStart' }  # no such time
        @{ At = '2030-10-27T02:30'; Found = 'AmbiguousStart' }  # there twice
        @{ At = [datetime]::SpecifyKind('2030-10-27T02:30:00', 'Local'); Found = 'AmbiguousStart' }
        @{ At = '2030-10-27T02:30+01:00'; Found = '2030-10-27T01:30:00.0000000Z' }
        @{ At = '2030-02-30T02:30'; Found = 'InvalidStart' }
        @{ At = '01/02/2030'; Found = 'InvalidStart' }  # January or February
        @{ At = '2030-01-31'; Found = 'InvalidStart' }
        @{ At = '23'; Found = 'InvalidStart' }
        @{ At = 120; Found = 'InvalidStart' }
    ) {
        ConvertTo-TestStart -At $At | Should -BeExactly $Found
    }
}

Describe 'A warning that -UpTo changed nothing' {
    It 'with <UpTo>, for <Duration>, approved until <Approved>: <Said>' -ForEach @(
        @{ UpTo = ''; Duration = 'PT1H'; Approved = @($null); Said = '' }
        @{ UpTo = 'PT2H'; Duration = 'PT1H'; Approved = @($null, $null); Said = 'Nobody had to approve this*' }
        @{ UpTo = 'PT2H'; Duration = 'PT1H'; Approved = @($null, [datetime]::UtcNow); Said = '' }
        @{ UpTo = 'PT1H'; Duration = 'PT60M'; Approved = @(, [datetime]::UtcNow); Said = '-UpTo is no longer than the duration*' }
        @{ UpTo = 'PT1H'; Duration = ''; Approved = @(, [datetime]::UtcNow); Said = '' }
        @{ UpTo = 'PT1H'; Duration = 'PT1H'; Approved = @(); Said = '' }
    ) {
        $given = @{ UpTo = $UpTo; Duration = $Duration; Approved = $Approved }
        $warned = InModuleScope -ModuleName Bascule -Parameters $given -ScriptBlock {
            $ports = @($Approved | ForEach-Object -Process { [pscustomobject]@{ ApprovedUntil = $_ } })
            if ($Approved.Count -eq 0) { $ports = @() }
            Write-BasculeReachWarning -UpTo $UpTo -Duration $Duration -Port $ports 3>&1
        }
        if ($Said) { [string] $warned | Should -BeLike $Said } else { $warned | Should -BeNullOrEmpty }
    }
}

Describe 'Emergency access as the server shows it' {
    It 'says whether it needs a review, and who reviewed it' {
        $wire = @{
            name = '3f2a91c0-0000-4000-8000-000000000000'; id = '/x'
            properties = @{
                state = 'open'; requestor = 'erin'; requestorId = 'e'; policyId = '/p'; startTimeUtc = '2030-01-31T23:00:00Z'
                virtualMachines = @(); emergency = $true; needsReview = $true; mayReview = $true; review = $null
            }
        }
        $read = {
            $Wire | ConvertTo-Json -Depth 5 | ConvertFrom-Json | ConvertTo-BasculeAccessRequest
        }
        $shown = InModuleScope -ModuleName Bascule -Parameters @{ Wire = $wire } -ScriptBlock $read
        $shown.IsEmergency, $shown.NeedsReview, $shown.MayReview | Should -Be @($true, $true, $true)
        $shown.ReviewedBy | Should -BeNullOrEmpty
        $shown | Format-Table | Out-String -Width 200 | Should -Match 'EMERGENCY: '
        $wire.properties.needsReview = $false
        $wire.properties.review = @{ displayName = "ann`e[2J"; note = 'seen'; at = '2030-01-31T23:30:00Z' }
        $shown = InModuleScope -ModuleName Bascule -Parameters @{ Wire = $wire } -ScriptBlock $read
        $shown.NeedsReview, $shown.ReviewNote | Should -Be @($false, 'seen')
        $shown.ReviewedBy | Should -Not -Match "`e"
    }
}

Describe 'Asking' -Skip:(-not $isLab) {
    BeforeAll {
        Connect-TestAdmin
        $null = New-TestPolicy -Name 'starts'
    }

    BeforeEach { Connect-TestAdmin }

    AfterEach {
        Connect-TestAdmin
        $live = @(Get-BasculeAccessRequest -Live)
        if ($live) {
            $live | Stop-BasculeAccessRequest -Confirm:$false -ErrorAction SilentlyContinue | Out-Null
            Wait-Until -That { -not (Test-LabReach -From $World.client) } | Should -BeTrue
        }
    }

    AfterAll {
        Connect-TestAdmin
        Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/starts" -ErrorAction Ignore
        Disconnect-Bascule
    }

    It 'with a start is scheduled, opens nothing before, and opens then for its source alone' {
        $at = [datetime]::ParseExact([datetime]::UtcNow.AddSeconds(20).ToString('s'), 's', $null, 'AssumeUniversal, AdjustToUniversal')
        $asked = Start-TestAccess -More @{ At = $at; Justification = 'later' }
        $found = Get-BasculeAccessRequest -Id $asked.RequestId.Substring(0, 8)
        $found.State | Should -Be 'scheduled'
        $found.ScheduledStartTimeUtc | Should -Be $at
        (Get-BasculeAccessRequest -Live).RequestId | Should -Contain $asked.RequestId
        $reaches = Test-LabReach -From $World.client
        ($reaches -and [datetime]::UtcNow -lt $at) | Should -BeFalse
        Wait-BasculeAccessRequest -Id $asked.RequestId -TimeoutSeconds 1 -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'WaitTimeout*'
        [string] $failed[0] | Should -Match 'opens at \d{4}-'
        $opened = Wait-BasculeAccessRequest -Id $asked.RequestId -ErrorAction Stop
        [datetime]::UtcNow | Should -BeGreaterThan $at
        $opened.State | Should -Be 'open'
        Wait-Until -That { Test-LabReach -From $World.client } | Should -BeTrue
        Test-LabReach -From $World.stranger | Should -BeFalse
        $null = $opened | Stop-BasculeAccessRequest -Confirm:$false
    }

    It 'with a start is taken back before, and never opens' {
        $asked = Start-TestAccess -More @{ At = [datetimeoffset]::Now.AddSeconds(12) }
        $null = $asked | Stop-BasculeAccessRequest -Confirm:$false -ErrorAction Stop
        Start-Sleep -Seconds 14
        (Get-BasculeAccessRequest -Id $asked.RequestId).State | Should -Be 'withdrawn'
        Test-LabReach -From $World.client | Should -BeFalse
        Wait-BasculeAccessRequest -Id $asked.RequestId -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'ApprovalLapsed*'
    }

    It 'for extensions that nobody has to approve is warned of' {
        $said = Start-TestAccess -More @{ UpTo = '1h' } 3>&1 | Where-Object -FilterScript { $_ -is [System.Management.Automation.WarningRecord] }
        [string] $said | Should -BeLike 'Nobody had to approve this, so -UpTo changed nothing*'
    }

    It 'is refused: <Code>' -ForEach @(
        @{ Code = 'SourceRequired'; More = @{ At = [datetime]::UtcNow.AddHours(1) } }
        @{ Code = 'StartPassed'; More = @{ At = [datetime]::UtcNow.AddHours(-1) } }
        @{ Code = 'StartTooFar'; More = @{ At = [datetime]::UtcNow.AddDays(31) } }
        @{ Code = 'InvalidStart'; More = @{ At = 'tomorrow' } }
        @{ Code = 'UpToTooLong'; More = @{ UpTo = '9h' } }
        @{ Code = 'UpToTooShort'; More = @{ UpTo = [timespan]::FromMinutes(1) } }
        @{ Code = 'InvalidDuration'; More = @{ UpTo = 4 } }
        @{ Code = 'JustificationRequired'; More = @{ Emergency = $true } }
        @{ Code = 'JustificationRequired'; More = @{ Emergency = $true; Justification = '  ' } }
        @{ Code = 'EmergencyHasNoStart'; More = @{ Emergency = $true; Justification = 'x'; At = [datetime]::UtcNow.AddHours(1) } }
        @{ Code = 'AuthorizationFailed'; More = @{ Emergency = $true; Justification = 'it is down' } }
    ) {
        $port = if ($Code -eq 'SourceRequired') { @{ Port = @{} } } else { @{} }
        $before = @(Get-BasculeAccessRequest -Live).Count
        Start-TestAccess @port -More $More | Should -Be $Code
        @(Get-BasculeAccessRequest -Live).Count | Should -Be $before
    }

    It 'for ssh in an emergency is refused without a reason, and opens nothing' {
        # The server judges the address first: these tests call over the loopback, which is nobody's address.
        foreach ($case in @{ Why = ''; Code = 'JustificationRequired*' }, @{ Why = 'it is down'; Code = 'SourceRequired*' }) {
            $asking = @{ Machine = $World.machine.name; Emergency = $true; Justification = $case.Why; Policy = 'starts' }
            Enter-BasculeSSH @asking -ErrorVariable failed -ErrorAction SilentlyContinue
            $failed[0].FullyQualifiedErrorId | Should -BeLike $case.Code
        }
    }

    It 'as a person without a second factor opens nothing in an emergency' {
        Connect-TestPerson
        Start-TestAccess -More @{ Emergency = $true; Justification = 'it is down' } | Should -BeIn 'SecondFactorTooOld', 'AuthorizationFailed'
        Test-LabReach -From $World.client | Should -BeFalse
    }

    It 'for a review is for people, and for emergency access, and has a note' {
        $asked = Start-TestAccess
        Get-BasculeAccessRequest -NeedsReview | Should -BeNullOrEmpty
        (Get-BasculeAccessRequest -Id $asked.RequestId).IsEmergency | Should -BeFalse
        Confirm-BasculeEmergencyAccess -Id $asked.RequestId -Note 'x' -WhatIf
        Confirm-BasculeEmergencyAccess -Id $asked.RequestId -Note 'x' -Confirm:$false -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'NoEmergency*'
        { Confirm-BasculeEmergencyAccess -Id $asked.RequestId -Note '' -Confirm:$false } | Should -Throw
        { Confirm-BasculeEmergencyAccess -Id $asked.RequestId -Note ('x' * 501) -Confirm:$false } | Should -Throw
    }
}
