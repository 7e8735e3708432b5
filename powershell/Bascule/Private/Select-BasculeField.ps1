function Select-BasculeField {
    <#
    .SYNOPSIS
    The fields of a hashtable or object under their names on the wire; nulls are left out.
    .NOTES
    Names are compared whatever their case. What is not known is added to Problem.
    #>
    [CmdletBinding()]
    [OutputType([System.Collections.Specialized.OrderedDictionary])]
    param(
        [Parameter(Mandatory)] [AllowNull()] [object] $InputObject,
        [Parameter(Mandatory)] [string[]] $Known,
        [Parameter(Mandatory)] [string] $Where,
        [Parameter(Mandatory)] [AllowEmptyCollection()] [System.Collections.Generic.List[string]] $Problem
    )
    $found = [ordered]@{}
    if ($InputObject -is [System.Collections.IDictionary]) {
        $names = @($InputObject.Keys)
    } elseif ($InputObject -is [System.Management.Automation.PSCustomObject]) {
        $names = @($InputObject.PSObject.Properties | ForEach-Object -Process { $_.Name })
    } else {
        $shown = if ($null -eq $InputObject) { 'nothing' } else { "a $($InputObject.GetType().Name)" }
        $Problem.Add("$Where is $shown; it has to be a hashtable.")
        return $found
    }
    foreach ($name in $names) {
        $wire = $Known | Where-Object -FilterScript { $_ -eq [string] $name }
        $value = Get-BasculeProperty -InputObject $InputObject -Name $name
        if (-not $wire) {
            $Problem.Add("$Where has '$name', which is not known.")
        } elseif ($null -ne $value) {
            $found[[string] $wire] = $value
        }
    }
    $found
}
