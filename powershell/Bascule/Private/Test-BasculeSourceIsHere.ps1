function Test-BasculeSourceIsHere {
    <#
    .SYNOPSIS
    Do these sources let this host in?
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory)] [AllowEmptyCollection()] [string[]] $Source,
        [AllowNull()] [System.Net.IPAddress] $Caller,  # as the server sees us
        [int] $Family = 0
    )
    $bits = @{ 4 = 'InterNetwork'; 6 = 'InterNetworkV6' }
    foreach ($each in $Source) {
        if ($null -ne $Caller -and ($Family -eq 0 -or [string] $Caller.AddressFamily -eq $bits[$Family])) {
            if (Test-BasculeAddressWithin -Address $Caller -Source $each) {
                return $true
            }
        }
        $parts = $each.Split('/')
        $single = $null
        if (-not [System.Net.IPAddress]::TryParse($parts[0], [ref] $single)) {
            continue
        }
        $isWhole = $parts.Length -eq 1 -or [int] $parts[1] -eq 8 * $single.GetAddressBytes().Length
        $isOfFamily = $Family -eq 0 -or [string] $single.AddressFamily -eq $bits[$Family]
        if ($isWhole -and $isOfFamily -and (Test-BasculeOwnAddress -Address $single)) {
            return $true
        }
    }
    $false
}
