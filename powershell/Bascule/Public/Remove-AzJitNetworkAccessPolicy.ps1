function Remove-AzJitNetworkAccessPolicy {
    <#
    .SYNOPSIS
    Deletes a just-in-time network access policy.
    .DESCRIPTION
    The cmdlet of Az.Security with its parameters. Access that rests on the policy ends; its
    ports stay closed until they are released on the server. To delete what is not there is no
    error.
    .PARAMETER ResourceGroupName
    The resource group.
    .PARAMETER Location
    The location of the policy.
    .PARAMETER Name
    The name of the policy.
    .PARAMETER ResourceId
    The id of the policy.
    .PARAMETER InputObject
    A policy, as Get-AzJitNetworkAccessPolicy answers it.
    .PARAMETER PassThru
    Answer true when it was done.
    .PARAMETER DefaultProfile
    A context of this session, whose subscription is meant instead of the present one.
    .EXAMPLE
    Remove-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'old' -PassThru

    Deletes one policy, and says that it did.
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
