function ConvertTo-BasculeApproval {
    <#
    .SYNOPSIS
    Makes a Bascule.Approval of the approval of an access request.
    .NOTES
    Names that people wrote are made safe to print. Digest goes back with an answer.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Approval')]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    $stages = @(
        foreach ($stage in @($Data.stages)) {
            $asked = Get-BasculeProperty -InputObject $stage -Name 'approvers'
            $named = @(Get-BasculeProperty -InputObject $asked -Name 'users') +
                @(Get-BasculeProperty -InputObject $asked -Name 'groups') | Where-Object -FilterScript { $_ }
            [pscustomobject]@{
                PSTypeName = 'Bascule.ApprovalStage'
                Number     = [int] $stage.number
                State      = [string] $stage.state  # met, asked, later
                Needed     = [int] $stage.needed
                Given      = [int] $stage.given
                Approvers  = @($named | ForEach-Object -Process { Protect-BasculeText -Text ([string] $_.displayName) })
                IsByRole   = [bool] (Get-BasculeProperty -InputObject $asked -Name 'role')
                ApprovedBy = @(
                    foreach ($vote in @(Get-BasculeProperty -InputObject $stage -Name 'votes')) {
                        if ($vote) { Protect-BasculeText -Text ([string] $vote.displayName) }
                    }
                )
            }
        }
    )
    $asked = Get-BasculeProperty -InputObject $Data -Name 'asksFor'
    $span = Get-BasculeProperty -InputObject $asked -Name 'duration'
    $end = Get-BasculeProperty -InputObject $asked -Name 'endTimeUtc'
    $longest = Get-BasculeProperty -InputObject $asked -Name 'upTo'
    $denial = Get-BasculeProperty -InputObject $Data -Name 'denial'
    [pscustomobject]@{
        PSTypeName      = 'Bascule.Approval'
        PendingUntilUtc = ConvertFrom-BasculeInstant -Text $Data.pendingUntil
        AsksForDuration = $(if ($span) { [System.Xml.XmlConvert]::ToTimeSpan($span) })  # from its opening
        AsksForUpTo     = $(if ($longest) { [System.Xml.XmlConvert]::ToTimeSpan($longest) })  # its extensions, until then
        AsksForEndUtc   = $(if ($end) { ConvertFrom-BasculeInstant -Text $end })
        Stages          = $stages
        DeniedBy        = $(if ($denial) { Protect-BasculeText -Text ([string] $denial.displayName) })
        DenialReason    = $(if ($denial) { Protect-BasculeText -Text ([string] $denial.reason) })
        MayApprove      = [bool] (Get-BasculeProperty -InputObject $Data -Name 'mayApprove')
        MayNot          = [string] (Get-BasculeProperty -InputObject $Data -Name 'mayNot')  # a code; empty: you may
        Digest          = [string] $Data.digest
    }
}
