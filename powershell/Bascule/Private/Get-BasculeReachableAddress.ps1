function Get-BasculeReachableAddress {
    <#
    .SYNOPSIS
    A machine's first address of a family that a grant lets in (EDGES A22).
    .NOTES
    Each address is parsed again here and printed back, because it goes into a command.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [psobject] $Grant,
        [int] $Family = 0
    )
    $ErrorActionPreference = 'Stop'
    $name = $Grant.Machine
    $granted = @(Get-BasculeGrantedVersion -Grant $Grant)
    foreach ($text in $Grant.Addresses) {
        $address = $null
        if ($text -match '%' -or -not [System.Net.IPAddress]::TryParse($text, [ref] $address)) {
            continue
        }
        $version = if ($text.Contains(':')) { 6 } else { 4 }
        if ($granted -contains $version -and $Family -in 0, $version) {
            return $address.ToString()
        }
    }
    $known = if ($Grant.Addresses) { $Grant.Addresses -join ', ' } else { 'none' }
    throw (New-BasculeErrorRecord -Code 'NoAddressInFamily' -Category ObjectNotFound -Message (
            "$name cannot be reached: access was granted from $($Grant.Sources -join ', '), and its addresses are: " +
            "$known$(if ($Family) { "; IPv$Family was requested" })."
        ) -Target $name -Advice "Ask the machine's owner to add an address of that family, or request access from an address of the other family.")
}
