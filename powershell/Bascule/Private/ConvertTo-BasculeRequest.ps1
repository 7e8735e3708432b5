function ConvertTo-BasculeRequest {
    <#
    .SYNOPSIS
    A request of the wire as Az.Security has it, with its justification and its id beside.
    .NOTES
    Instants are DateTime in UTC, whose hundred nanoseconds are just the seven digits.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    $ours = Get-BasculeProperty -InputObject $Data -Name 'bascule'
    [pscustomobject]@{
        PSTypeName      = 'Bascule.JitNetworkAccessRequest'
        VirtualMachines = @(
            foreach ($machine in @($Data.virtualMachines)) {
                [pscustomobject]@{
                    PSTypeName      = 'Bascule.JitNetworkAccessRequestVirtualMachine'
                    Id              = [string] $machine.id
                    PublicIpAddress = Get-BasculeProperty -InputObject $machine -Name 'publicIpAddress'
                    Ports           = @(foreach ($port in @($machine.ports)) { ConvertTo-BasculeRequestPort -Data $port })
                }
            }
        )
        StartTimeUtc    = ConvertFrom-BasculeInstant -Text $Data.startTimeUtc
        Requestor       = [string] (Get-BasculeProperty -InputObject $Data -Name 'requestor')
        Justification   = [string] (Get-BasculeProperty -InputObject $Data -Name 'justification')
        RequestId       = [string] (Get-BasculeProperty -InputObject $ours -Name 'requestId')
    }
}
