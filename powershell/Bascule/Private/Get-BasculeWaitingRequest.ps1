function Get-BasculeWaitingRequest {
    <#
    .SYNOPSIS
    The request of that id, or of that beginning of an id, which waits for approval.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.AccessRequest')]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Id
    )
    $ErrorActionPreference = 'Stop'
    $path = '{0}/{1}' -f (Get-BasculeRequestCollection), (Resolve-BasculeRequestId -Id $Id)
    $request = Invoke-BasculeApi -Method GET -Path $path | ConvertTo-BasculeAccessRequest
    if ($request.State -ne 'waiting') {
        throw (New-BasculeErrorRecord -Code 'NotWaiting' -Category InvalidOperation -Message (
                "Request $($request.RequestId) does not wait for approval: it is $($request.State)."
            ) -Target $Id -Advice 'To list what waits for you: Get-BasculeAccessRequest -WaitingForMe')
    }
    $request
}
