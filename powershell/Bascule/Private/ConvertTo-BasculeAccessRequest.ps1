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
        $start = Get-BasculeProperty -InputObject (Get-BasculeProperty -InputObject $properties -Name 'bascule') -Name 'startTimeUtc'
        $review = Get-BasculeProperty -InputObject $properties -Name 'review'
        $end = Get-BasculeProperty -InputObject $properties -Name 'endTimeUtc'
        $justification = [string] (Get-BasculeProperty -InputObject $properties -Name 'justification')
        [pscustomobject]@{
            PSTypeName            = 'Bascule.AccessRequest'
            RequestId             = [string] $Data.name
            State                 = [string] $properties.state
            Requestor             = Protect-BasculeText -Text ([string] $properties.requestor)
            RequestorId           = [string] $properties.requestorId
            Justification         = Protect-BasculeText -Text $justification
            StartTimeUtc          = ConvertFrom-BasculeInstant -Text $properties.startTimeUtc
            EndTimeUtc            = $(if ($end) { ConvertFrom-BasculeInstant -Text $end })
            ScheduledStartTimeUtc = $(if ($start) { ConvertFrom-BasculeInstant -Text $start })  # $null: as soon as it might open
            Reasons               = $reasons  # why it was refused or denied
            Approval              = $(if ($approval) { ConvertTo-BasculeApproval -Data $approval })  # $null: it never waited
            IsEmergency           = [bool] (Get-BasculeProperty -InputObject $properties -Name 'emergency')
            NeedsReview           = [bool] (Get-BasculeProperty -InputObject $properties -Name 'needsReview')
            MayReview             = [bool] (Get-BasculeProperty -InputObject $properties -Name 'mayReview')
            ReviewedBy            = $(if ($review) { Protect-BasculeText -Text ([string] $review.displayName) })
            ReviewNote            = $(if ($review) { Protect-BasculeText -Text ([string] $review.note) })
            Ports                 = $ports
            PolicyId              = [string] $properties.policyId
            Id                    = [string] $Data.id
        }
    }
}
