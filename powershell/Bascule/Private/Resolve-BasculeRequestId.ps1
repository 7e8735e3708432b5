function Resolve-BasculeRequestId {
    <#
    .SYNOPSIS
    The GUID of a request: from itself, from a whole resource id, or from the first characters
    of the id of one that is live.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Id
    )
    $ErrorActionPreference = 'Stop'
    $name = $Id.Trim().Split('/')[-1].ToLowerInvariant()
    $guid = [guid]::Empty
    if ([guid]::TryParseExact($name, 'D', [ref] $guid)) {
        return $name
    }
    if ($name -notmatch '^[0-9a-f][0-9a-f-]{3,34}$') {
        throw (New-BasculeErrorRecord -Code 'InvalidRequestId' -Category InvalidArgument -Message (
                "'$(Protect-BasculeText -Text $Id)' is not the id of a request."
            ) -Target $Id -Advice 'Take it from Get-BasculeAccessRequest: the whole RequestId, or its first characters.')
    }
    # Who is asked to approve may read it for that alone, and does not find it among the live ones;
    # emergency access is reviewed after its end, too.
    $found = @(
        foreach ($filter in 'live eq true', "waitingFor eq 'me'", 'needsReview eq true') {
            $call = @{ Method = 'GET'; Path = Get-BasculeRequestCollection; Query = @{ '$filter' = $filter } }
            Invoke-BasculeApi @call -AllPages | Where-Object -FilterScript { $_.name.StartsWith($name) }
        }
    ) | Sort-Object -Property name -Unique
    $found = @($found)
    if ($found.Count -eq 1) {
        return [string] $found[0].name
    }
    if ($found.Count -gt 1) {
        throw (New-BasculeErrorRecord -Code 'AmbiguousRequest' -Category InvalidArgument -Message (
                "$($found.Count) live requests begin with '$name'."
            ) -Reason @($found.name) -Target $Id -Advice 'Give more of the id.')
    }
    throw (New-BasculeErrorRecord -Code 'RequestNotFound' -Category ObjectNotFound -Message (
            "No live request begins with '$name'."
        ) -Target $Id -Advice 'To list live requests: Get-BasculeAccessRequest -Live. An ended request needs its whole id.')
}
