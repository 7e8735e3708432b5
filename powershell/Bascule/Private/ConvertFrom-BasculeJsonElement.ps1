function ConvertFrom-BasculeJsonElement {
    <#
    .SYNOPSIS
    Turns one element of System.Text.Json into what ConvertFrom-Json would make of it.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Element
    )
    switch ([string] $Element.ValueKind) {
        'Object' {
            $made = [ordered]@{}
            foreach ($property in $Element.EnumerateObject()) {
                $made[$property.Name] = ConvertFrom-BasculeJsonElement -Element $property.Value
            }
            [pscustomobject] $made
        }
        'Array' {
            $items = @(
                foreach ($item in $Element.EnumerateArray()) {
                    ConvertFrom-BasculeJsonElement -Element $item
                }
            )
            Write-Output -InputObject $items -NoEnumerate
        }
        'String' { $Element.GetString() }
        'Number' {
            $whole = [long] 0
            if ($Element.TryGetInt64([ref] $whole)) { $whole } else { $Element.GetDouble() }
        }
        'True' { $true }
        'False' { $false }
        default { $null }
    }
}
