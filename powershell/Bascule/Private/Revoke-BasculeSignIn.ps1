function Revoke-BasculeSignIn {
    <#
    .SYNOPSIS
    Ends a person's sign-in at the server; throws unless the server says that it is done.
    .NOTES
    RFC 7009 section 2.2: done is 200, and nothing else.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    $form = @{ token = $Session.RefreshToken; client_id = $Session.ClientId }
    $how = @{ Code = ''; Category = 'InvalidResult'; Status = 0 }
    try {
        $answer = Send-BasculeTokenRequest -Session $Session -Page 'revoke' -Form $form
        if ($answer.Status -eq 200) {
            return
        }
        $how.Status = $answer.Status
        $how.Code = [string] (Get-BasculeProperty -InputObject $answer.Data -Name 'error')
        if (-not $how.Code) { $how.Code = "Http$($answer.Status)" }
        $words = [string] (Get-BasculeProperty -InputObject $answer.Data -Name 'error_description')
        if (-not $words) { $words = "the server answered $($answer.Status)." }
    } catch {
        $how.Code = $_.FullyQualifiedErrorId.Split(',')[0]
        $how.Category = $_.CategoryInfo.Category
        $words = $_.Exception.Message
    }
    throw (New-BasculeErrorRecord @how -Message "The tokens on this computer were deleted, but not revoked on the server: $words" `
            -Target $Session.Endpoint -Advice "To end it there: $($Session.Endpoint)/signin/you in a browser.")
}
