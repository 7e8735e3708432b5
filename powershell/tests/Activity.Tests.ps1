# The activity log: its filters, and what Export-Csv makes of it in a spreadsheet.

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    Connect-TestAdmin
    $null = New-TestPolicy -Name 'activity'
    $began = [datetime]::UtcNow.AddSeconds(-5)
    $formula = '=HYPERLINK("http://example.com","pay")'
    $machine = @{
        id    = $World.machine.id
        ports = @{ number = 22; duration = 'PT60S'; allowedSourceAddressPrefix = $World.client_address }
    }
    $asked = Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/activity" -VirtualMachine $machine -Justification "$formula`e[31m"
    $null = Stop-BasculeAccessRequest -Id $asked.RequestId -Confirm:$false -ErrorAction SilentlyContinue
}

AfterAll {
    Remove-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/activity" -ErrorAction Ignore
    Disconnect-Bascule
}

Describe 'The activity log' {
    It 'has the two entries of a call, newest first' {
        $found = @(Get-BasculeActivity -Operation 'Initiate JIT*' -From $began)
        $mine = @($found | Where-Object { $_.CorrelationId -eq $found[0].CorrelationId })
        $mine.Status | Should -Be @('Accepted', 'Started')
        $mine[0].Caller | Should -Not -BeNullOrEmpty
        $mine[0].At | Should -Match '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$'
    }

    It 'takes an operation as roles name it' {
        (Get-BasculeActivity -Operation '*/initiate/action' -From $began).Operation | Sort-Object -Unique |
            Should -Be 'Initiate JIT Network Access Policy'
    }

    It 'keeps what a filter names and nothing else' {
        (Get-BasculeActivity -Status Started -From $began).Status | Sort-Object -Unique | Should -Be 'Started'
        $of = Get-BasculeActivity -Machine web-1 -From $began
        $of | Should -Not -BeNullOrEmpty
        $of.ResourceId | ForEach-Object { $_ | Should -BeLike "$($World.machine.id)*" }
        Get-BasculeActivity -Caller 'nobody' -From $began | Should -BeNullOrEmpty
        Get-BasculeActivity -From $began -To $began | Should -BeNullOrEmpty
        (Get-BasculeActivity -Caller $World.client_id -From $began).CallerId | Sort-Object -Unique | Should -Be $World.client_id
    }

    It 'refuses a status that there is not, instead of finding nothing' {
        { Get-BasculeActivity -Status 'Done' } | Should -Throw -ErrorId 'ParameterArgumentValidationError*'
    }

    It 'is written so that no spreadsheet runs it and no terminal is rewritten' {
        $file = Join-Path -Path $World.scratch -ChildPath 'activity.csv'
        Get-BasculeActivity -From $began | Export-Csv -Path $file -NoTypeInformation
        $text = Get-Content -Path $file -Raw
        $text.Contains("`e") | Should -BeFalse
        $rows = Import-Csv -Path $file
        $rows.Justification | Should -Contain "'$formula[31m"
        $rows | ForEach-Object { $_.PSObject.Properties.Value } | Where-Object { $_ -match '^\s*[=+@-]' } |
            Should -BeNullOrEmpty
    }

    It 'has columns that stay, each of them a text' {
        $one = Get-BasculeActivity -From $began | Select-Object -First 1
        $one.PSObject.Properties.Name | Should -Be @(
            'At', 'Operation', 'Status', 'Caller', 'CallerId', 'CallerAddress', 'Machine', 'ResourceGroupName',
            'Justification', 'Detail', 'Level', 'SubStatus', 'OperationName', 'ResourceId', 'CorrelationId', 'Client', 'EventId'
        )
        $one.PSObject.Properties.Value | ForEach-Object { $_ | Should -BeOfType [string] }
    }

    It 'is followed oldest first, each entry once' {
        $followed = @(Get-BasculeActivity -Follow -From $began | Select-Object -First 4)
        $listed = @(Get-BasculeActivity -From $began)
        [array]::Reverse($listed)
        $followed.EventId | Should -Be @($listed[0..3].EventId)
        ($followed.EventId | Sort-Object -Unique).Count | Should -Be 4
    }
}

Describe 'What may stand in a cell' {
    It '<Text> becomes <Safe>' -ForEach @(
        @{ Text = '=1+1'; Safe = "'=1+1" }
        @{ Text = "`t@SUM(A1)"; Safe = "' @SUM(A1)" }
        @{ Text = "-2+3"; Safe = "'-2+3" }
        @{ Text = "$([char] 0xff1d)1"; Safe = "'$([char] 0xff1d)1" }
        @{ Text = "a`r`nb"; Safe = 'a b' }
        @{ Text = "user$([char] 0x202e)txt"; Safe = 'usertxt' }
        @{ Text = "$([char] 0x200b)=1"; Safe = "'=1" }
        @{ Text = '2030-01-31'; Safe = '2030-01-31' }
        @{ Text = "h$([char] 0xe9)"; Safe = "h$([char] 0xe9)" }
        @{ Text = ''; Safe = '' }
    ) {
        InModuleScope -ModuleName Bascule -Parameters @{ Given = $Text } -ScriptBlock {
            Protect-BasculeText -Text $Given -AsCell
        } | Should -BeExactly $Safe
    }
}
