# The examples of the functions that Az lacks, and every block of docs/powershell.md, run as
# they stand but for names and addresses.
#
# ssh is a program that prints its words, and this host counts as the lab's client, because from
# here every address is the loopback's; tests/e2e/test_powershell_ssh.py has the real ones.

BeforeDiscovery {
    $isLab = (Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json).is_lab
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    $faces = Join-Path -Path $World.scratch -ChildPath 'faces'
    $null = New-Item -Path $faces -ItemType Directory -Force
    Set-Content -Path "$faces/ssh" -Value "#!/bin/sh`necho `"`$@`""
    & chmod +x "$faces/ssh"
    $path = $env:PATH
    $env:PATH = "$faces$([System.IO.Path]::PathSeparator)$env:PATH"
    Push-Location -Path $faces

    function Start-TestLease {
        param([int] $Seconds)
        $machine = @{
            id    = $World.machine.id
            ports = @{ number = 22; duration = "PT${Seconds}S"; allowedSourceAddressPrefix = $World.client_address }
        }
        Start-AzJitNetworkAccessPolicy -ResourceId "$PolicyRoot/default" -VirtualMachine $machine -ErrorAction Stop
    }
}

AfterAll {
    Pop-Location
    $env:PATH = $path
    Get-BasculeAccessRequest -Live -ErrorAction Ignore |
        Stop-BasculeAccessRequest -Confirm:$false -ErrorAction SilentlyContinue | Out-Null
    Disconnect-Bascule
}

Describe 'The examples of <_>' -Skip:(-not $isLab) -ForEach @(
    'Get-BasculeAccessRequest', 'Stop-BasculeAccessRequest', 'Wait-BasculeAccessRequest', 'Get-BasculeMachine'
    'Get-BasculeActivity', 'New-BasculeRequestorRole', 'Enter-BasculeSSH'
) {
    It 'run' {
        Mock -ModuleName Bascule -CommandName Test-BasculeSourceIsHere -MockWith { $true }
        Connect-TestAdmin
        $null = New-TestPolicy -Name 'default'
        # What is waited for to shut must do so soon; what is used by ssh must last.
        $seconds = if ($_ -like 'Wait-*') { 10 } else { 60 }
        $null = Start-TestLease -Seconds $seconds | Wait-BasculeAccessRequest -ErrorAction Stop
        Invoke-TestExample -Name $_ -Replace @{ 'anna' = 'requestor' } | Should -BeGreaterOrEqual 2
    }
}

Describe 'docs/powershell.md' -Skip:(-not $isLab) {
    BeforeAll {
        $page = Get-Content -Path "$PSScriptRoot/../../docs/powershell.md" -Raw
        $blocks = @([regex]::Matches($page, '(?ms)^```powershell\n(.*?)^```') | ForEach-Object { $_.Groups[1].Value })
        $words = [ordered]@{
            'https://bascule.example.com:8443' = $World.endpoint
            'ca.pem'                           = $World.ca_file
            'SUBSCRIPTIONID'                   = $World.subscription_id
            '192.0.2.7'                        = $World.client_address
            'anna'                             = 'requestor'
        }
        $env:BASCULE_CLIENT_ID = $World.client_id
        $env:BASCULE_CLIENT_SECRET = $World.client_secret
    }
    AfterAll {
        $env:BASCULE_CLIENT_ID = $null
        $env:BASCULE_CLIENT_SECRET = $null
    }

    It 'does what it says, block by block' {
        $blocks.Count | Should -BeGreaterThan 7
        Mock -ModuleName Bascule -CommandName Test-BasculeSourceIsHere -MockWith { $true }
        $all = @()
        $ErrorActionPreference = 'Stop'
        for ($place = 0; $place -lt $blocks.Count; $place++) {
            $text = $blocks[$place]
            foreach ($word in $words.Keys) {
                $text = $text.Replace($word, $words[$word])
            }
            if ($text -match 'Enter-BasculeSSH') {
                $null = Start-TestLease -Seconds 60 | Wait-BasculeAccessRequest
            }
            $all += @(. ([scriptblock]::Create($text)))
        }
        $all.Count | Should -BeGreaterThan 8
        # The refusal told its reason, and ssh was given the machine's name and address.
        @($all -match 'at most 3 h').Count | Should -BeGreaterThan 0
        $all | Should -Contain "-o HostKeyAlias=web-1 -- $($World.machine.address) uptime"
        $waited = @($all | Where-Object { $_.PSObject.TypeNames -contains 'Bascule.AccessRequest' })
        $waited[0].State | Should -Be 'open'
        $waited[-1].State | Should -Be 'closed'
        (Import-Csv -Path activity.csv).Operation | Should -Contain 'Initiate JIT Network Access Policy'
    }
}

Describe 'about_Bascule' {
    It 'is found by Get-Help and names every function' {
        $text = Get-Help -Name about_Bascule | Out-String
        foreach ($name in (Get-Command -Module Bascule).Name | Where-Object { $_ -notmatch 'BasculeAzJit|Context|^Disconnect' }) {
            $text | Should -Match $name -Because $name
        }
    }
}

Describe 'The views' {
    It 'there is one for <_>' -ForEach @(
        'Bascule.AccessRequest', 'Bascule.GrantedPort', 'Bascule.Machine', 'Bascule.Activity', 'Bascule.JitNetworkAccessPolicy'
    ) {
        (Get-FormatData -TypeName $_).FormatViewDefinition.Count | Should -Be 1
    }
}

Describe 'The style' {
    It 'is checked where PSScriptAnalyzer is, and said not to be where it is not' {
        $said = & "$PSScriptRoot/../tools/Test-Style.ps1" 3>&1 | Out-String
        if (Get-Module -Name PSScriptAnalyzer -ListAvailable) {
            $LASTEXITCODE | Should -Be 0 -Because $said
        } else {
            $said | Should -Match 'Not run: PSScriptAnalyzer'
        }
    }
}
