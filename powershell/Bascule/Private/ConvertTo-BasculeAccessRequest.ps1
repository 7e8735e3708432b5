function ConvertTo-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Makes a Bascule.AccessRequest of a Bascule.Access/accessRequests resource.
    .NOTES
    What people wrote is made safe to print. State is what the enforcement points said last;
    Status and StatusReason of a port are Azure's words.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, ValueFromPipeline)] [object] $Data
    )
    process {
        $properties = $Data.properties
        $ports = @(
            foreach ($machine in @($properties.virtualMachines)) {
                $extras = Get-BasculeProperty -InputObject $machine -Name 'bascule'
                $addresses = @(Get-BasculeProperty -InputObject $extras -Name 'addresses')
                foreach ($port in @($machine.ports)) {
                    ConvertTo-BasculeGrantedPort -Data $port -MachineId $machine.id -Address $addresses
                }
            }
        )
        $reasons = @(
            foreach ($each in @(Get-BasculeProperty -InputObject $properties -Name 'reasons')) {
                if ($each) { Protect-BasculeText -Text ([string] $each.message) }
            }
        )
        $approval = Get-BasculeProperty -InputObject $properties -Name 'approval'
        $end = Get-BasculeProperty -InputObject $properties -Name 'endTimeUtc'
        $justification = [string] (Get-BasculeProperty -InputObject $properties -Name 'justification')
        [pscustomobject]@{
            PSTypeName    = 'Bascule.AccessRequest'
            RequestId     = [string] $Data.name
            State         = [string] $properties.state
            Requestor     = Protect-BasculeText -Text ([string] $properties.requestor)
            RequestorId   = [string] $properties.requestorId
            Justification = Protect-BasculeText -Text $justification
            StartTimeUtc  = ConvertFrom-BasculeInstant -Text $properties.startTimeUtc
            EndTimeUtc    = $(if ($end) { ConvertFrom-BasculeInstant -Text $end })
            Reasons       = $reasons  # why it was refused or denied
            Approval      = $(if ($approval) { ConvertTo-BasculeApproval -Data $approval })  # $null: it never waited
            Ports         = $ports
            PolicyId      = [string] $properties.policyId
            Id            = [string] $Data.id
        }
    }
}
