function ConvertTo-BasculeStart {
    <#
    .SYNOPSIS
    The start of a request as the wire has it, in UTC: from a DateTime, a DateTimeOffset, or ISO 8601.
    .NOTES
    A DateTime is this host's time, unless it says that it is UTC. One that a change of the clocks
    leaves out or repeats is refused.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [object] $At
    )
    $ErrorActionPreference = 'Stop'
    $culture = [cultureinfo]::InvariantCulture
    $text = [string] $At
    $given = $At
    if ($At -is [string] -and $text -match '^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?(?<zone>Z|[+-]\d\d:\d\d)?\z') {
        $parsed = if ($Matches.ContainsKey('zone')) { [System.DateTimeOffset]::MinValue } else { [datetime]::MinValue }
        if ($parsed.GetType()::TryParse($text, $culture, [System.Globalization.DateTimeStyles]::None, [ref] $parsed)) {
            $given = $parsed
        }
    }
    if ($given -is [System.DateTimeOffset]) {
        return $given.UtcDateTime.ToString('o', $culture)
    }
    if ($given -isnot [datetime]) {
        throw (New-BasculeErrorRecord -Code 'InvalidStart' -Category InvalidArgument -Message (
                "'$(Protect-BasculeText -Text $text)' is not a date and a time of day."
            ) -Target $At -Advice 'Write it as 2030-01-31T23:00 (time of this host), 2030-01-31T23:00Z or (Get-Date).AddHours(2).')
    }
    if ($given.Kind -eq [System.DateTimeKind]::Utc) {
        return $given.ToString('o', $culture)
    }
    $zone = [System.TimeZoneInfo]::Local
    $wall = [datetime]::SpecifyKind($given, [System.DateTimeKind]::Unspecified)
    if ($zone.IsInvalidTime($wall) -or $zone.IsAmbiguousTime($wall)) {
        throw (New-BasculeErrorRecord -Code 'AmbiguousStart' -Category InvalidArgument -Message (
                "A change of the clocks leaves out or repeats $($wall.ToString('s', $culture)) in the time zone $($zone.Id)."
            ) -Target $At -Advice 'Give it with its offset: 2030-10-27T02:30+01:00.')
    }
    [System.TimeZoneInfo]::ConvertTimeToUtc($wall, $zone).ToString('o', $culture)
}
