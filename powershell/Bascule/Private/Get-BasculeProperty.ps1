function Get-BasculeProperty {
    <#
    .SYNOPSIS
    A property's value, or nothing where the object has none: strict mode would throw.
    .NOTES
    Takes hashtables as well; names are compared as PowerShell does, whatever their case.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [AllowNull()] [object] $InputObject,
        [Parameter(Mandatory)] [string] $Name
    )
    if ($null -eq $InputObject) {
        return
    }
    if ($InputObject -is [System.Collections.IDictionary]) {
        foreach ($key in $InputObject.Keys) {
            if ([string] $key -eq $Name) {
                return $InputObject[$key]
            }
        }
        return
    }
    $property = $InputObject.PSObject.Properties[$Name]
    if ($null -ne $property) {
        $property.Value
    }
}
