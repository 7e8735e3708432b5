function Get-BasculeGrantedVersion {
    <#
    .SYNOPSIS
    The IP versions, 4 and 6, from which a grant lets in.
    #>
    [CmdletBinding()]
    [OutputType([int])]
    param(
        [Parameter(Mandatory)] [psobject] $Grant
    )
    foreach ($source in $Grant.Sources) {
        # ::/0 and what else holds the IPv4-mapped addresses means IPv6 alone (EDGES A7).
        if ($source -eq '*') { 4; 6 } elseif ($source.Contains(':')) { 6 } else { 4 }
    }
}
