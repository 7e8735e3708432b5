function New-BasculeSignInError {
    <#
    .SYNOPSIS
    The ErrorRecord of a refused sign-in, with the server's own words.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory)] [pscustomobject] $Answer,
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $code = [string] (Get-BasculeProperty -InputObject $Answer.Data -Name 'error')
    $words = [string] (Get-BasculeProperty -InputObject $Answer.Data -Name 'error_description')
    if (-not $code) { $code = "Http$($Answer.Status)" }
    if (-not $words) { $words = $code }
    New-BasculeErrorRecord -Code $code -Category AuthenticationError -Status $Answer.Status -Message (
        "The server did not accept this sign-in: $words"
    ) -Target $Session.Endpoint -Advice $(
        if ($Session.AccountType -eq 'User') {
            'Sign in again: Connect-Bascule.'
        } elseif ($Answer.Status -ge 500 -or $Answer.Status -eq 429) {
            'Wait a moment and connect again: Connect-Bascule.'
        } else {
            'Check the application id and its secret or certificate, and connect again: Connect-Bascule.'
        }
    )
}
