function ConvertTo-BasculeMachine {
    <#
    .SYNOPSIS
    Makes a Bascule.Machine of a virtualMachines resource and the requests that are live.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Machine')]
    param(
        [Parameter(Mandatory)] [object] $Data,
        [AllowEmptyCollection()] [psobject[]] $Grant = @()  # Bascule.GrantedPort of any machine
    )
    $extras = Get-BasculeProperty -InputObject $Data.properties -Name 'bascule'
    $point = Get-BasculeProperty -InputObject $extras -Name 'enforcementPoint'
    $reasons = @(Get-BasculeProperty -InputObject $extras -Name 'reasons') | Where-Object -FilterScript { $_ }
    $closed = @(Get-BasculeProperty -InputObject $extras -Name 'closedPorts') | Where-Object -FilterScript { $_ }
    $storage = Get-BasculeProperty -InputObject $Data.properties -Name 'storageProfile'
    $disk = Get-BasculeProperty -InputObject $storage -Name 'osDisk'
    $heard = Get-BasculeProperty -InputObject $point -Name 'lastContactAt'
    # Azure's connection icon: the firewall where a gateway guards the machine, also beside its own agent.
    $gateways = @(Get-BasculeProperty -InputObject $point -Name 'gateways' | Where-Object -FilterScript { $_ })
    $enforcement = if ($gateways) { 'Firewall' } elseif ($point) { 'HostFilter' } else { 'None' }
    $isOpen = { $_.MachineId -eq $Data.id -and $_.State -in 'open', 'notConfirmed' }
    [pscustomobject]@{
        PSTypeName        = 'Bascule.Machine'
        Name              = [string] $Data.name
        ResourceGroupName = $Data.id.Split('/')[4]
        Location          = [string] $Data.location
        State             = [string] (Get-BasculeProperty -InputObject $extras -Name 'state')
        Addresses         = @(Get-BasculeProperty -InputObject $extras -Name 'addresses')
        Ports             = @(
            foreach ($port in $closed) {
                [pscustomobject]@{
                    PSTypeName = 'Bascule.ManagedPort'
                    Number     = [int] $port.number
                    Protocol   = [string] $port.protocol
                    OnExpiry   = [string] $port.onExpiry
                    InPolicy   = [bool] $port.inPolicy  # $false: closed, and no policy offers it
                }
            }
        )
        ClosedAt          = @(Get-BasculeProperty -InputObject $extras -Name 'closedAt')  # gateways that alone close its ports
        Enforcement       = $enforcement
        OpenNow           = @($Grant | Where-Object -FilterScript $isOpen)
        Agent             = if ($null -eq $point) { 'none' } else { [string] $point.state }
        LastContactUtc    = $(if ($heard) { ConvertFrom-BasculeInstant -Text $heard })
        Weaknesses        = @(
            Get-BasculeProperty -InputObject $point -Name 'weaknesses' |
                ForEach-Object -Process { Protect-BasculeText -Text $_.text }
        )
        Reasons           = @($reasons | ForEach-Object -Process { Protect-BasculeText -Text $_.message })
        OsType            = [string] (Get-BasculeProperty -InputObject $disk -Name 'osType')
        Id                = [string] $Data.id
    }
}
