function Get-BasculeMachine {
    <#
    .SYNOPSIS
    Gets machines: their state, addresses, managed ports, and what is open on them now.
    .DESCRIPTION
    State is configured (a policy names the machine), notConfigured or unsupported; Reasons says
    why. Ports are those that its agent keeps closed. OpenNow lists the ports that are open at
    this moment, as far as you may see them: number, sources and end.
    .PARAMETER Name
    A machine's name or full id.
    .PARAMETER ResourceGroupName
    Only machines of this resource group.
    .PARAMETER State
    Only machines in this state.
    .EXAMPLE
    Get-BasculeMachine

    All machines that you may see.
    .EXAMPLE
    Get-BasculeMachine -Name web-1 | Select-Object -ExpandProperty OpenNow

    Shows what is open on web-1 now: for whom, from where, until when.
    .EXAMPLE
    Get-BasculeMachine -State notConfigured | Select-Object -Property Name, Id

    Machines that no policy covers yet.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(DefaultParameterSetName = 'List')]
    [OutputType('Bascule.Machine')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('Machine', 'MachineId')] [string[]] $Name,
        [Parameter(ParameterSetName = 'List')] [ValidateNotNullOrEmpty()] [string] $ResourceGroupName,
        [Parameter(ParameterSetName = 'List')]
        [ValidateSet('configured', 'notConfigured', 'unsupported')] [string] $State
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        $live = @{ '$filter' = 'live eq true' }
        if ($PSCmdlet.ParameterSetName -eq 'Name') {
            foreach ($each in $Name) {
                try {
                    $machine = Find-BasculeMachine -Name $each
                    $query = @{ '$filter' = "live eq true and machine eq '$($machine.id)'" }
                    $requests = Invoke-BasculeApi -Method GET -Path (Get-BasculeRequestCollection) -Query $query -AllPages
                    $grants = @($requests | ConvertTo-BasculeAccessRequest | ForEach-Object -Process { $_.Ports })
                    ConvertTo-BasculeMachine -Data $machine -Grant $grants
                } catch {
                    $PSCmdlet.WriteError($_)
                }
            }
            return
        }
        try {
            $path = Get-BasculeSubscriptionPath
            if ($ResourceGroupName) {
                $path += "/resourceGroups/$ResourceGroupName"
            }
            $query = if ($State) { @{ '$filter' = "state eq '$State'" } } else { @{} }
            $requests = Invoke-BasculeApi -Method GET -Path (Get-BasculeRequestCollection) -Query $live -AllPages
            $grants = @($requests | ConvertTo-BasculeAccessRequest | ForEach-Object -Process { $_.Ports })
            $machines = "$path/providers/Microsoft.Compute/virtualMachines"
            Invoke-BasculeApi -Method GET -Path $machines -Query $query -AllPages | ForEach-Object -Process {
                ConvertTo-BasculeMachine -Data $_ -Grant $grants
            }
        } catch {
            $PSCmdlet.WriteError($_)
        }
    }
}
