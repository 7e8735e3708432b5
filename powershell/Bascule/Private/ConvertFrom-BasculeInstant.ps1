function ConvertFrom-BasculeInstant {
    <#
    .SYNOPSIS
    A DateTime in UTC from an instant of the wire, exact to its seventh digit.
    #>
    [CmdletBinding()]
    [OutputType([datetime])]
    param(
        [Parameter(Mandatory)] [string] $Text
    )
    [System.DateTimeOffset]::Parse($Text, [cultureinfo]::InvariantCulture).UtcDateTime
}
