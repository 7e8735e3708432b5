function Deny-BasculeAccessRequest {
    <#
    .SYNOPSIS
    Denies access requests that wait for approval.
    .DESCRIPTION
    Says no to each request, with a reason that its requestor sees, and returns it. One no is enough: the
    request ends, and opens nothing.
    .PARAMETER Id
    A request's id or its first characters, or requests from Get-BasculeAccessRequest.
    .PARAMETER Reason
    Why; the requestor sees it, and it is recorded.
    .EXAMPLE
    Get-BasculeAccessRequest -WaitingForMe | Deny-BasculeAccessRequest -Reason 'The change window is tomorrow.'

    Shows each request that waits for you, and asks whether to deny it.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)]
        [Alias('RequestId')] [string[]] $Id,
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Reason
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        foreach ($each in $Id) {
            try {
                $request = Get-BasculeWaitingRequest -Id $each
                $what = Format-BasculeWaitingRequest -Request $request
                if (-not $PSCmdlet.ShouldProcess($what, 'Deny access')) {
                    continue
                }
                $body = @{ digest = $request.Approval.Digest; reason = $Reason }
                $path = '{0}/{1}/deny' -f (Get-BasculeRequestCollection), $request.RequestId
                Invoke-BasculeApi -Method POST -Path $path -Body $body | ConvertTo-BasculeAccessRequest
            } catch {
                $PSCmdlet.WriteError($_)
            }
        }
    }
}
