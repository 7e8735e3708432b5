function ConvertFrom-BasculeJson {
    <#
    .SYNOPSIS
    Parses JSON; instants stay the strings that they are, with their seven digits.
    .NOTES
    Windows PowerShell leaves them alone by itself, 7.5 when told so; between the two
    System.Text.Json does it.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Text
    )
    $parser = Get-Command -Name ConvertFrom-Json -CommandType Cmdlet
    if ($parser.Parameters.ContainsKey('DateKind')) {
        return ConvertFrom-Json -InputObject $Text -DateKind String
    }
    if ($PSVersionTable.PSVersion.Major -lt 6) {
        return ConvertFrom-Json -InputObject $Text
    }
    $document = [System.Text.Json.JsonDocument]::Parse($Text)
    try {
        ConvertFrom-BasculeJsonElement -Element $document.RootElement
    } finally {
        $document.Dispose()
    }
}
