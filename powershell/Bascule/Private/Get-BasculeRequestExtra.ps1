function Get-BasculeRequestExtra {
    <#
    .SYNOPSIS
    What a request's body says in its object bascule: its start, or that it is an emergency; empty for neither.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [AllowNull()] [object] $At = $null,
        [bool] $IsEmergency = $false,
        [AllowEmptyString()] [string] $Justification = ''
    )
    $ErrorActionPreference = 'Stop'
    $extra = @{}
    if ($IsEmergency) {
        if (-not $Justification.Trim()) {
            throw (New-BasculeErrorRecord -Code 'JustificationRequired' -Category InvalidArgument -Message (
                    'Emergency access needs a reason.'
                ) -Advice "Give it: -Justification 'the database is down'.")
        }
        if ($null -ne $At) {
            throw (New-BasculeErrorRecord -Code 'EmergencyHasNoStart' -Category InvalidArgument -Message (
                    'Emergency access opens at once, and has no start.'
                ) -Advice 'Leave out -At or -Emergency.')
        }
        $extra['emergency'] = $true
    }
    if ($null -ne $At) {
        $extra['startTimeUtc'] = ConvertTo-BasculeStart -At $At
    }
    $extra
}
