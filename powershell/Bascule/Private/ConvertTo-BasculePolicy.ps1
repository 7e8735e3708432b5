function ConvertTo-BasculePolicy {
    <#
    .SYNOPSIS
    A policy of the wire with the property names and types that Az.Security gives it.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    $properties = Get-BasculeProperty -InputObject $Data -Name 'properties'
    [pscustomobject]@{
        PSTypeName        = 'Bascule.JitNetworkAccessPolicy'
        Id                = [string] $Data.id
        Name              = [string] $Data.name
        Kind              = [string] (Get-BasculeProperty -InputObject $Data -Name 'kind')
        VirtualMachines   = @(
            foreach ($machine in @(Get-BasculeProperty -InputObject $properties -Name 'virtualMachines')) {
                [pscustomobject]@{
                    PSTypeName = 'Bascule.JitNetworkAccessPolicyVirtualMachine'
                    Id         = [string] $machine.id
                    Ports      = @(foreach ($port in @($machine.ports)) { ConvertTo-BasculePortRule -Data $port })
                }
            }
        )
        Requests          = @(
            foreach ($request in @(Get-BasculeProperty -InputObject $properties -Name 'requests')) {
                ConvertTo-BasculeRequest -Data $request
            }
        )
        ProvisioningState = [string] (Get-BasculeProperty -InputObject $properties -Name 'provisioningState')
    }
}
