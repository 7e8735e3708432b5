# What the tests have in common: the world they are run in, and the module, freshly loaded.
#
# Dot-sourced in BeforeAll. tests/powershell/test_pester.py makes the world: a lab, or a server
# alone; $World.is_lab says which.

$World = Get-Content -Path $env:BASCULE_TEST_WORLD -Raw | ConvertFrom-Json
$Group = "/subscriptions/$($World.subscription_id)/resourceGroups/$($World.resource_group)"
$PolicyRoot = "$Group/providers/Microsoft.Security/locations/$($World.location)/jitNetworkAccessPolicies"

function Get-TestSecret {
    ConvertTo-SecureString -String $World.client_secret -AsPlainText -Force
}

# As the administrator, whom the first start of a server makes.
function Connect-TestAdmin {
    $null = Connect-Bascule -Endpoint $World.endpoint -CaFile $World.ca_file `
        -ApplicationId $World.client_id -ClientSecret (Get-TestSecret) -ErrorAction Stop
}

function Connect-TestBroken {
    $null = Connect-Bascule -Endpoint $World.broken.endpoint -CaFile $World.broken.ca_file `
        -ApplicationId 'anybody' -ClientSecret (Get-TestSecret) -ErrorAction Stop
}

# Signs in with a code that the world's approver reads from a file.
function Connect-TestPerson {
    Connect-Bascule -Endpoint $World.endpoint -CaFile $World.ca_file -ErrorAction Stop 6>&1 | ForEach-Object -Process {
        if ([string] $_ -match 'enter the code (\S+?)\.$') {
            Set-Content -Path $World.device_code_file -Value $Matches[1]
        }
    }
}

# A policy for the one machine, under a name of the test's own.
function New-TestPolicy {
    param([string] $Name, [string] $Maximum = 'PT3H', [int] $Port = 22)
    $machine = @{
        id    = $World.machine.id
        ports = @{ number = $Port; protocol = 'TCP'; allowedSourceAddressPrefix = '*'; maxRequestAccessDuration = $Maximum }
    }
    Set-AzJitNetworkAccessPolicy -Kind 'Basic' -Location $World.location -Name $Name `
        -ResourceGroupName $World.resource_group -VirtualMachine $machine -ErrorAction Stop
}

# Does a connection from that host of the lab get through to ssh on the machine, or at another door?
function Test-LabReach {
    param([string] $From, [string] $Address = $World.machine.address, [int] $Port = 22)
    $probe = 'import socket,sys
try: print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.2).recv(4).decode())
except OSError as error: print(error)'
    $first, $rest = $World.probe
    $said = & $first @rest $From -- $World.python -c $probe $Address $Port
    [string] $said -eq 'SSH-'
}

# Tries until it is so, for some seconds; answers whether it became so.
function Wait-Until {
    param([scriptblock] $That, [int] $Seconds = 20)
    $ends = [datetime]::UtcNow.AddSeconds($Seconds)
    while ([datetime]::UtcNow -lt $ends) {
        if (& $That) { return $true }
        Start-Sleep -Milliseconds 300
    }
    [bool] (& $That)
}

Import-Module -Name ([System.IO.Path]::GetFullPath("$PSScriptRoot/../Bascule/Bascule.psd1")) -Force

# Runs the examples of a command's help as they are printed, but for the names in capitals.
function Invoke-TestExample {
    param([string] $Name, [hashtable] $Replace = @{}, [int] $Skip = 0)
    $all = @{
        'https://HOST:8443' = $World.endpoint
        "'ca.pem'"          = "'$($World.ca_file)'"
        'SUBSCRIPTIONID'    = $World.subscription_id
        'RESOURCEGROUP'     = $World.resource_group
        'LOCATION'          = $World.location
        'VMNAME'            = $World.machine.name
        'IPV4ADDRESS'       = $World.client_address
        'ENDTIMEUTC'        = [datetime]::UtcNow.AddMinutes(30).ToString('o')
        'APPLICATIONID'     = $World.client_id
        'SECRET'            = $World.client_secret
    }
    $examples = @((Get-Help -Name $Name -Full).examples.example)
    foreach ($example in @($examples | Select-Object -Skip $Skip)) {
        # All of the code: the first line and, where help took them for remarks, the others.
        $text = $example.code
        foreach ($words in $Replace, $all) {
            foreach ($word in $words.Keys) {
                $text = $text.Replace($word, $words[$word])
            }
        }
        # As a script of its own, where any error stops.
        $null = & ([scriptblock]::Create("`$ErrorActionPreference = 'Stop'`n$text"))
    }
    $examples.Count
}
