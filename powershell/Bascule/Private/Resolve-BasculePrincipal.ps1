function Resolve-BasculePrincipal {
    <#
    .SYNOPSIS
    The id of a user, group or service principal, from its name; an id is taken as it is.
    .NOTES
    A name that is that of several is refused: a role must not go to the wrong one. Whoever may
    not look principals up gets the refusal, and gives the id instead.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [string] $Name,
        [switch] $AllowMe  # "me" stays; the server knows who that is
    )
    $ErrorActionPreference = 'Stop'
    $guid = [guid]::Empty
    if ([guid]::TryParseExact($Name, 'D', [ref] $guid) -or ($AllowMe -and $Name -eq 'me')) {
        return $Name.ToLowerInvariant()
    }
    $provider = '{0}/providers/Bascule.Identity' -f (Get-BasculeSubscriptionPath)
    $query = @{ '$filter' = "name eq '{0}'" -f $Name.Replace("'", "''") }
    $found = @(
        foreach ($kind in 'users', 'groups', 'servicePrincipals') {
            Invoke-BasculeApi -Method GET -Path "$provider/$kind" -Query $query -AllPages
        }
    )
    $safe = Protect-BasculeText -Text $Name
    if ($found.Count -eq 0) {
        throw (New-BasculeErrorRecord -Code 'PrincipalNotFound' -Category ObjectNotFound -Message (
                "There is no user, group or service principal '$safe' that you may see."
            ) -Target $Name -Advice 'Give its id instead, or ask an administrator for the right name.')
    }
    if ($found.Count -gt 1) {
        throw (New-BasculeErrorRecord -Code 'AmbiguousPrincipal' -Category InvalidArgument -Message (
                "$($found.Count) are called '$safe'."
            ) -Reason @($found.name) -Target $Name -Advice 'Give the id instead.')
    }
    [string] $found[0].name
}
