function ConvertTo-BasculePrefixList {
    <#
    .SYNOPSIS
    The plural source of a port as string[], or null.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    $prefixes = Get-BasculeProperty -InputObject $Data -Name 'allowedSourceAddressPrefixes'
    if ($null -eq $prefixes) {
        return $null
    }
    Write-Output -InputObject ([string[]] @($prefixes)) -NoEnumerate
}
