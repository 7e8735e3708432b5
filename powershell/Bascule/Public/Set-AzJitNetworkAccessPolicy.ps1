function Set-AzJitNetworkAccessPolicy {
    <#
    .SYNOPSIS
    Creates or replaces a just-in-time network access policy.
    .DESCRIPTION
    The same parameters and output as the cmdlet of Az.Security. Machines are hashtables with id
    and ports. Each port has number, protocol and maxRequestAccessDuration, and, to limit the
    sources, allowedSourceAddressPrefix or allowedSourceAddressPrefixes. Ports that the policy no
    longer names stay closed until they are released on the server.
    .PARAMETER ResourceGroupName
    The resource group.
    .PARAMETER Location
    The location of the policy.
    .PARAMETER Name
    The name of the policy.
    .PARAMETER Kind
    The kind of the policy: Basic.
    .PARAMETER VirtualMachine
    The machines with their port rules.
    .PARAMETER DefaultProfile
    A context of this session, whose subscription is used instead of the current one.
    .EXAMPLE
    $JitPolicy = (@{
        id="/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME";
        ports=(@{
             number=22;
             protocol="*";
             allowedSourceAddressPrefix=@("*");
             maxRequestAccessDuration="PT3H"})})
    Set-AzJitNetworkAccessPolicy -Kind "Basic" -Location "LOCATION" -Name "default" -ResourceGroupName "RESOURCEGROUP" -VirtualMachine @($JitPolicy)

    Port 22 of one machine is closed and may be requested for up to three hours.
    .EXAMPLE
    $policy = Get-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'default'
    $policy.VirtualMachines[0].Ports[0].MaxRequestAccessDuration = 'PT1H'
    Set-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'default' -Kind 'Basic' -VirtualMachine $policy.VirtualMachines -WhatIf

    Reads a policy, shortens its first rule, and shows what would be set.
    #>
    [CmdletBinding(SupportsShouldProcess, PositionalBinding = $false, DefaultParameterSetName = 'ResourceGroupLevelResource')]
    [OutputType('Bascule.JitNetworkAccessPolicy')]
    param(
        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $ResourceGroupName,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $Location,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $Name,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $Kind,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [object[]] $VirtualMachine,

        [Alias('AzContext', 'AzureRmContext', 'AzureCredential')]
        [object] $DefaultProfile
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            $path = Resolve-BasculePolicyPath -ResourceGroupName $ResourceGroupName -Location $Location -Name $Name `
                -DefaultProfile $DefaultProfile
            $machines = ConvertTo-BasculeVirtualMachine -VirtualMachine $VirtualMachine -For Policy
            if (-not $PSCmdlet.ShouldProcess($path, 'Set policy')) {
                return
            }
            $body = @{ kind = $Kind; properties = @{ virtualMachines = $machines } }
            $made = ConvertTo-BasculePolicy -Data (Invoke-BasculeApi -Method PUT -Path $path -Body $body)
        } catch {
            $PSCmdlet.WriteError($_)
            return
        }
        $made
    }
}
