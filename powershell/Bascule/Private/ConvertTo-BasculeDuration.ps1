function ConvertTo-BasculeDuration {
    <#
    .SYNOPSIS
    A duration as the wire has it, PT1H30M: from a TimeSpan, PT30M, 00:30:00, or 90s, 30m, 1h30m, 1d.
    .NOTES
    A bare number is refused: PowerShell would take it for ticks, people mean minutes or hours.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [object] $Duration
    )
    $ErrorActionPreference = 'Stop'
    $span = [timespan]::Zero
    $text = [string] $Duration
    $culture = [System.Globalization.CultureInfo]::InvariantCulture
    if ($Duration -is [timespan]) {
        $span = $Duration
    } elseif ($text -match '^(?=\d)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?$') {
        $parts = foreach ($group in 1..4) { if ($Matches.ContainsKey($group)) { [int] $Matches[$group] } else { 0 } }
        $span = New-TimeSpan -Days $parts[0] -Hours $parts[1] -Minutes $parts[2] -Seconds $parts[3]
    } elseif ($text -match '^P[^YM]*(T|$)') {  # no years and months: nobody knows how long they are
        try { $span = [System.Xml.XmlConvert]::ToTimeSpan($text) } catch { $span = [timespan]::Zero }
    } elseif ($text -match ':') {
        $null = [timespan]::TryParse($text, $culture, [ref] $span)
    }
    if ($span.TotalSeconds -lt 1) {
        throw (New-BasculeErrorRecord -Code 'InvalidDuration' -Category InvalidArgument -Message (
                "'$(Protect-BasculeText -Text $text)' is not a duration of a second or more."
            ) -Target $Duration -Advice "Write it as PT30M, 30m, 1h30m, '00:30:00' or (New-TimeSpan -Minutes 30).")
    }
    [System.Xml.XmlConvert]::ToString([timespan]::FromSeconds([System.Math]::Floor($span.TotalSeconds)))
}
