function Test-BasculeAddressWithin {
    <#
    .SYNOPSIS
    Is an address within a source as policies write it: an address, a prefix, or *?
    .NOTES
    What cannot be read holds nothing.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory)] [System.Net.IPAddress] $Address,
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Source
    )
    if ($Source -eq '*') {
        return $true
    }
    $parts = $Source.Split('/')
    $network = $null
    if (-not [System.Net.IPAddress]::TryParse($parts[0], [ref] $network)) {
        return $false
    }
    $wanted = $network.GetAddressBytes()
    $given = $Address.GetAddressBytes()
    $length = 8 * $wanted.Length
    if ($parts.Length -gt 1 -and -not [int]::TryParse($parts[1], [ref] $length)) {
        return $false
    }
    if ($wanted.Length -ne $given.Length -or $length -lt 0 -or $length -gt 8 * $wanted.Length) {
        return $false
    }
    for ($bit = 0; $bit -lt $length; $bit++) {
        $mask = 128 -shr ($bit % 8)
        $place = $bit -shr 3
        if (($wanted[$place] -band $mask) -ne ($given[$place] -band $mask)) {
            return $false
        }
    }
    $true
}
