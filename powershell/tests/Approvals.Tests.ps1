# Requests that wait for a person: found, approved, shortened, denied, withdrawn; and by whom not.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"

    function Start-TestAccess {
        param([string] $Why)
        $machine = @{
            id    = $World.machine.id
            ports = @{ number = 22; duration = 'PT10M'; allowedSourceAddressPrefix = $World.client_address }
        }
        Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/approvals" -VirtualMachine $machine -Justification $Why -ErrorAction Stop
    }

    function Set-TestRule {
        param([string] $User)
        InModuleScope -ModuleName Bascule -Parameters @{ User = $User; Policy = "$PolicyRoot/approvals" } -ScriptBlock {
            $people = Invoke-BasculeApi -Method GET -Path "$(Get-BasculeSubscriptionPath)/providers/Bascule.Identity/users" -AllPages
            $id = ($people | Where-Object -FilterScript { $_.properties.userPrincipalName -eq $User }).name
            $stage = @{ approvers = @{ users = @($id); groups = @(); role = $false }; needed = 1 }
            $rule = @{ properties = @{ effect = 'approve'; conditions = @{}; stages = @($stage) } }
            $null = Invoke-BasculeApi -Method PUT -Path "$Policy/providers/Bascule.Access/accessRules/second-person" -Body $rule
        }
    }
}

Describe 'A request that waits for a person' -Skip:(-not $isLab) {
    BeforeAll {
        Connect-TestAdmin
        $null = New-TestPolicy -Name 'approvals'
        $person = $World.users[0].name
        Set-TestRule -User $person
    }

    AfterAll {
        Connect-TestAdmin
        Get-BasculeAccessRequest -Live | Stop-BasculeAccessRequest -Confirm:$false -ErrorAction SilentlyContinue | Out-Null
        Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/approvals" -ErrorAction Ignore
        Disconnect-Bascule
    }

    It 'says for whom it waits, and its own requestor cannot approve it' {
        $asked = Start-TestAccess -Why 'first'
        $found = Get-BasculeAccessRequest -Id $asked.RequestId.Substring(0, 8)
        $found.State | Should -Be 'waiting'
        $found.Approval.Stages[0].Approvers | Should -Be $person
        $found.Approval.MayApprove | Should -BeFalse
        Get-BasculeAccessRequest -WaitingForMe | Should -BeNullOrEmpty
        Approve-BasculeAccessRequest -Id $asked.RequestId -Confirm:$false -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'OnlyPeopleApprove*'
        Test-LabReach -From $World.client | Should -BeFalse
        (Start-TestAccess -Why 'first').RequestId | Should -Be $asked.RequestId -Because 'asking again finds it'
        $null = $asked | Stop-BasculeAccessRequest -Confirm:$false
        (Get-BasculeAccessRequest -Id $asked.RequestId).State | Should -Be 'withdrawn'
    }

    It 'is approved for a shorter time by whoever is asked, and opens' {
        $asked = Start-TestAccess -Why 'second'
        Connect-TestPerson
        $mine = Get-BasculeAccessRequest -WaitingForMe
        $mine.RequestId | Should -Be $asked.RequestId
        $mine | Approve-BasculeAccessRequest -WhatIf
        (Get-BasculeAccessRequest -Id $asked.RequestId).State | Should -Be 'waiting'
        $mine | Approve-BasculeAccessRequest -Duration 'PT1H' -Confirm:$false -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'WouldLengthen*'
        ($mine | Approve-BasculeAccessRequest -Duration 'PT2M' -Note 'be quick' -Confirm:$false).State | Should -Be 'opening'
        Connect-TestAdmin
        $opened = Wait-BasculeAccessRequest -Id $asked.RequestId -ErrorAction Stop
        $opened.State | Should -Be 'open'
        ($opened.EndTimeUtc - [datetime]::UtcNow).TotalSeconds | Should -BeLessThan 121
        $opened.Approval.Stages[0].ApprovedBy | Should -Be $person
        Wait-Until -That { Test-LabReach -From $World.client } | Should -BeTrue
        Test-LabReach -From $World.stranger | Should -BeFalse
        $null = $opened | Stop-BasculeAccessRequest -Confirm:$false
    }

    It 'is approved with extensions up to a length that its approver is shown, and opens for what was asked' {
        $machine = @{ id = $World.machine.id; ports = @{ number = 22; allowedSourceAddressPrefix = $World.client_address } }
        $asking = @{ ResourceId = "$PolicyRoot/approvals"; VirtualMachine = $machine; Duration = '5m'; Justification = 'long' }
        $asked = Start-AzJitNetworkAccessPolicy @asking -UpTo (New-TimeSpan -Hours 1) -ErrorAction Stop
        Connect-TestPerson
        $mine = Get-BasculeAccessRequest -WaitingForMe
        $mine.Approval.AsksForDuration | Should -Be (New-TimeSpan -Minutes 5)
        $mine.Approval.AsksForUpTo | Should -Be (New-TimeSpan -Hours 1)
        InModuleScope -ModuleName Bascule -Parameters @{ Request = $mine } -ScriptBlock {
            Format-BasculeWaitingRequest -Request $Request
        } | Should -BeLike '*, for PT5M, with extensions up to PT1H: long'
        $null = $mine | Approve-BasculeAccessRequest -Confirm:$false -ErrorAction Stop
        Connect-TestAdmin
        $opened = Wait-BasculeAccessRequest -Id $asked.RequestId -ErrorAction Stop
        ($opened.EndTimeUtc - [datetime]::UtcNow).TotalMinutes | Should -BeLessThan 5.1 -Because 'it opens for what was asked'
        [math]::Round(($opened.Ports[0].ApprovedUntil - [datetime]::UtcNow).TotalMinutes) | Should -BeIn 59, 60
        $null = $opened | Stop-BasculeAccessRequest -Confirm:$false
    }

    It 'is denied with a reason that whoever waits for it is told' {
        $asked = Start-TestAccess -Why 'third'
        Connect-TestPerson
        $denied = Get-BasculeAccessRequest -WaitingForMe | Deny-BasculeAccessRequest -Reason 'tomorrow' -Confirm:$false
        $denied.State | Should -Be 'denied'
        Approve-BasculeAccessRequest -Id $asked.RequestId -Confirm:$false -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'NotWaiting*'
        Connect-TestAdmin
        Wait-BasculeAccessRequest -Id $asked.RequestId -ErrorVariable failed -ErrorAction SilentlyContinue
        $failed[0].FullyQualifiedErrorId | Should -BeLike 'ApprovalDenied*'
        [string] $failed[0] | Should -Match 'tomorrow'
        Test-LabReach -From $World.client | Should -BeFalse
    }
}
