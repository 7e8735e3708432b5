function Get-AzJitNetworkAccessPolicy {
    <#
    .SYNOPSIS
    Gets the just-in-time network access policies: all, those of a group, or one.
    .DESCRIPTION
    The same parameters and output as the cmdlet of Az.Security, for the connected Bascule
    server. It reads every page of a list; Az.Security reads only the first.
    .PARAMETER ResourceGroupName
    The resource group.
    .PARAMETER Location
    The location of the policy.
    .PARAMETER Name
    The name of the policy.
    .PARAMETER ResourceId
    The id of the policy, as its Id shows it.
    .PARAMETER DefaultProfile
    A context of this session, whose subscription is used instead of the current one.
    .EXAMPLE
    Get-AzJitNetworkAccessPolicy

    Every policy of the subscription that you may see.
    .EXAMPLE
    Get-AzJitNetworkAccessPolicy -ResourceGroupName 'default' -Location 'local' -Name 'default'

    One policy, with its requests.
    .EXAMPLE
    (Get-AzJitNetworkAccessPolicy).VirtualMachines.Ports | Sort-Object -Property Number -Unique

    The rules of all machines, one for each port number.
    #>
    [CmdletBinding(DefaultParameterSetName = 'SubscriptionScope', PositionalBinding = $false)]
    [OutputType('Bascule.JitNetworkAccessPolicy')]
    param(
        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupScope')]
        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $ResourceGroupName,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Location,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Name,

        [Parameter(Mandatory, ParameterSetName = 'ResourceId', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $ResourceId,

        [Alias('AzContext', 'AzureRmContext', 'AzureCredential')]
        [object] $DefaultProfile
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            $asked = @{ Method = 'GET' }
            switch ($PSCmdlet.ParameterSetName) {
                'SubscriptionScope' {
                    $asked['Path'] = '{0}/providers/Microsoft.Security/jitNetworkAccessPolicies' -f @(
                        Get-BasculeScope -DefaultProfile $DefaultProfile
                    )
                    $asked['AllPages'] = $true
                }
                'ResourceGroupScope' {
                    $asked['Path'] = '{0}/resourceGroups/{1}/providers/Microsoft.Security/jitNetworkAccessPolicies' -f @(
                        (Get-BasculeScope -DefaultProfile $DefaultProfile), $ResourceGroupName
                    )
                    $asked['AllPages'] = $true
                }
                default {
                    $asked['Path'] = Resolve-BasculePolicyPath -ResourceId $ResourceId -Location $Location -Name $Name `
                        -ResourceGroupName $ResourceGroupName -DefaultProfile $DefaultProfile
                }
            }
            $found = @(Invoke-BasculeApi @asked | ForEach-Object -Process { ConvertTo-BasculePolicy -Data $_ })
        } catch {
            $PSCmdlet.WriteError($_)
            return
        }
        $found
    }
}
