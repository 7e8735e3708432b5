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
        400 { 'Correct what the reasons name and call again; nothing was changed.' }
        401 { 'Sign in again: Connect-Bascule.' }
        403 { 'Ask an administrator for the role that allows it; Get-BasculeContext shows who you are.' }
        404 { 'List what there is: Get-AzJitNetworkAccessPolicy, Get-BasculeMachine.' }
        409 { 'Look at its present state and call again.' }
        429 { 'Wait a little and call again.' }
        { $_ -ge 300 -and $_ -lt 400 } { 'Give the address that the server has itself: redirects are not followed. Get-BasculeContext shows it.' }
        { $_ -ge 500 } { 'Look at what is there before you call again; the server''s log says more.' }
        default { '' }
    }
}
