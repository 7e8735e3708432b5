function Get-BasculeAdvice {
    <#
    .SYNOPSIS
    What to do next after an error: the server's own words, or ours by its status.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [AllowNull()] [object] $Problem,
        [Parameter(Mandatory)] [int] $Status
    )
    foreach ($more in @(Get-BasculeProperty -InputObject $Problem -Name 'additionalInfo')) {
        if ((Get-BasculeProperty -InputObject $more -Name 'type') -eq 'advice') {
            $info = Get-BasculeProperty -InputObject $more -Name 'info'
            $said = [string] (Get-BasculeProperty -InputObject $info -Name 'advice')
            if ($said) {
                return $said
            }
        }
    }
    switch ($Status) {
        400 { 'Nothing was changed. Correct the named problems and call again.' }
        401 { 'Sign in again: Connect-Bascule.' }
        403 { 'Ask an administrator for the role that allows it; Get-BasculeContext shows who you are.' }
        404 { 'To list what exists: Get-AzJitNetworkAccessPolicy, Get-BasculeMachine.' }
        409 { 'Check the current state and call again.' }
        429 { 'Wait a moment and call again.' }
        { $_ -ge 300 -and $_ -lt 400 } { 'Redirects are not followed. Connect to the address that the server itself uses; Get-BasculeContext shows the current one.' }
        { $_ -ge 500 } { 'Check the current state before you call again. The server''s log has more details.' }
        default { '' }
    }
}
