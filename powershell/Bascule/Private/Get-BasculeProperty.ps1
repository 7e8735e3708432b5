function Get-BasculeProperty {
    <#
    .SYNOPSIS
    A property's value, or nothing where it is null or not there: strict mode would throw.
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
            if ([string] $key -eq $Name -and $null -ne $InputObject[$key]) {
                return $InputObject[$key]
            }
        }
        return
    }
    $property = $InputObject.PSObject.Properties[$Name]
    if ($null -ne $property -and $null -ne $property.Value) {
        $property.Value
    }
}
