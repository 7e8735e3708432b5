function Confirm-BasculeEmergencyAccess {
    <#
    .SYNOPSIS
    Reviews emergency access that somebody else used.
    .DESCRIPTION
    Records that you reviewed it, with a note, and returns the request. Emergency access opens without
    approval, and is listed until somebody other than its requestor has reviewed it. A review neither
    opens nor closes anything, and there is one for each request.
    .PARAMETER Id
    A request's id or its first characters, or requests from Get-BasculeAccessRequest.
    .PARAMETER Note
    What you found, at most 500 characters; it is recorded.
    .EXAMPLE
    Get-BasculeAccessRequest -NeedsReview | Confirm-BasculeEmergencyAccess -Note 'Spoke with Anna; the disk was full.'

    Shows all emergency access that nobody has reviewed, and asks for each whether to record the review.
    .EXAMPLE
    Get-BasculeAccessRequest -NeedsReview | Confirm-BasculeEmergencyAccess -Note 'Seen.' -WhatIf

    Shows what would be reviewed.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [ValidateLength(1, 500)] [string] $Note
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        foreach ($each in $Id) {
            try {
                $path = '{0}/{1}' -f (Get-BasculeRequestCollection), (Resolve-BasculeRequestId -Id $each)
                $request = Invoke-BasculeApi -Method GET -Path $path | ConvertTo-BasculeAccessRequest
                $what = Format-BasculeWaitingRequest -Request $request
                if ($PSCmdlet.ShouldProcess($what, 'Review emergency access')) {
                    Invoke-BasculeApi -Method POST -Path "$path/review" -Body @{ note = $Note } | ConvertTo-BasculeAccessRequest
                }
            } catch {
                $PSCmdlet.WriteError($_)
            }
        }
    }
}
