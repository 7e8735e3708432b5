function ConvertTo-BasculeInstant {
    <#
    .SYNOPSIS
    An end time as the server takes it; what is a full instant already stays as it is.
    .NOTES
    Az casts to a DateTime: so do we with whatever is not written in ISO 8601, and take one
    without a zone for UTC, since the property's name says so. A local one is converted.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [object] $Instant
    )
    $invariant = [cultureinfo]::InvariantCulture
    if ($Instant -is [System.DateTimeOffset]) {
        return $Instant.UtcDateTime.ToString('o', $invariant)
    }
    if ($Instant -isnot [datetime]) {
        $text = ([string] $Instant).Trim()
        if ($text -match '^\d{4}-\d\d-\d\dT[\d:.]+$') {
            return "${text}Z"
        }
        $parsed = [datetime]::MinValue
        if ($text -match '^\d{4}-\d\d-\d\dT' -or -not [datetime]::TryParse(
                $text, $invariant, [System.Globalization.DateTimeStyles]::None, [ref] $parsed)) {
            return $text  # the server says what is wrong with it
        }
        $Instant = $parsed
    }
    if ($Instant.Kind -eq [System.DateTimeKind]::Local) {
        $Instant = $Instant.ToUniversalTime()
    }
    [datetime]::SpecifyKind($Instant, [System.DateTimeKind]::Utc).ToString('o', $invariant)
}
