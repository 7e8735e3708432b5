function Approve-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Approves access requests that wait.
    .DESCRIPTION
    Says yes to each request, as it is now, and returns it. With the last yes that is needed it is judged
    again, by the policy and the rights of that moment, and opens; State says what became of it. You may
    shorten it, not lengthen it.
    .PARAMETER Id
    A request's id or its first characters, or requests from Get-BasculeAccessRequest.
    .PARAMETER Duration
    Allow only this long, from its opening: an ISO 8601 duration such as PT30M.
    .PARAMETER Note
    A note; it is recorded.
    .EXAMPLE
    Get-BasculeAccessRequest -WaitingForMe | Approve-BasculeAccessRequest

    Shows each request that waits for you, and asks whether to approve it.
    .EXAMPLE
    Get-BasculeAccessRequest -WaitingForMe | Approve-BasculeAccessRequest -Duration PT30M -WhatIf

    Shows what would be approved, for half an hour at most, without approving it.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [ValidateNotNullOrEmpty()] [string] $Duration,
        [ValidateNotNullOrEmpty()] [string] $Note
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        foreach ($each in $Id) {
            try {
                $request = Get-BasculeWaitingRequest -Id $each
                $what = Format-BasculeWaitingRequest -Request $request
                if (-not $PSCmdlet.ShouldProcess($what, 'Approve access')) {
                    continue
                }
                $body = @{ digest = $request.Approval.Digest }
                if ($Duration) { $body['duration'] = $Duration }
                if ($Note) { $body['note'] = $Note }
                $path = '{0}/{1}/approve' -f (Get-BasculeRequestCollection), $request.RequestId
                Invoke-BasculeApi -Method POST -Path $path -Body $body | ConvertTo-BasculeAccessRequest
            } catch {
                $PSCmdlet.WriteError($_)
            }
        }
    }
}
