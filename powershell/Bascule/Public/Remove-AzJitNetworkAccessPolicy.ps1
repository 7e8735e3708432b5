function Remove-AzJitNetworkAccessPolicy {
    <#
    .SYNOPSIS
    Deletes a just-in-time network access policy.
    .DESCRIPTION
    The same parameters as the cmdlet of Az.Security. Access by the policy ends at once. The
    ports that it names, and that no other policy names, open for everybody. Deleting a policy
    that does not exist is not an error.
    .PARAMETER ResourceGroupName
    The resource group.
    .PARAMETER Location
    The location of the policy.
    .PARAMETER Name
    The name of the policy.
    .PARAMETER ResourceId
    The id of the policy.
    .PARAMETER InputObject
    A policy from Get-AzJitNetworkAccessPolicy.
    .PARAMETER PassThru
    Return true after the deletion.
    .PARAMETER DefaultProfile
    A context of this session, whose subscription is used instead of the current one.
    .EXAMPLE
    Remove-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'old' -PassThru

    Deletes one policy, and returns true.
    .EXAMPLE
    Get-AzJitNetworkAccessPolicy | Where-Object -Property Name -Like -Value 'test-*' | Remove-AzJitNetworkAccessPolicy -WhatIf

    Shows which policies would be deleted.
    #>
    [CmdletBinding(SupportsShouldProcess, PositionalBinding = $false, DefaultParameterSetName = 'ResourceGroupLevelResource')]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $ResourceGroupName,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Location,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Name,

        [Parameter(Mandatory, ParameterSetName = 'ResourceId', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $ResourceId,

        [Parameter(Mandatory, ParameterSetName = 'InputObject', ValueFromPipeline)]
        [PSTypeName('Bascule.JitNetworkAccessPolicy')] [psobject] $InputObject,

        [switch] $PassThru,

        [Alias('AzContext', 'AzureRmContext', 'AzureCredential')]
        [object] $DefaultProfile
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            $id = if ($PSCmdlet.ParameterSetName -eq 'InputObject') { $InputObject.Id } else { $ResourceId }
            $path = Resolve-BasculePolicyPath -ResourceId $id -ResourceGroupName $ResourceGroupName -Location $Location `
                -Name $Name -DefaultProfile $DefaultProfile
            if (-not $PSCmdlet.ShouldProcess($path, 'Remove policy')) {
                return
            }
            $null = Invoke-BasculeApi -Method DELETE -Path $path
        } catch {
            $PSCmdlet.WriteError($_)
            return
        }
        if ($PassThru) {
            $true
        }
    }
}
