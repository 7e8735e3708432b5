function Get-BasculeDoor {
    <#
    .SYNOPSIS
    Where to connect to for a grant: the public address and port where a gateway leads to it, else the machine's own.
    .NOTES
    Each address is parsed again here and printed back, because it goes into a command.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory)] [psobject] $Grant,
        [int] $Family = 0
    )
    $ErrorActionPreference = 'Stop'
    $granted = @(Get-BasculeGrantedVersion -Grant $Grant)
    foreach ($each in $Grant.PublicPorts) {
        $address = $null
        $text = [string] $each.PublicIpAddress
        if ($each.Protocol -eq 'UDP' -or $text -match '%' -or $each.MappedPort -notin 1..65535 -or
            -not [System.Net.IPAddress]::TryParse($text, [ref] $address)) {
            continue
        }
        $version = if ($text.Contains(':')) { 6 } else { 4 }
        if ($granted -contains $version -and $Family -in 0, $version) {
            return [pscustomobject]@{ Address = $address.ToString(); Port = [int] $each.MappedPort }
        }
    }
    [pscustomobject]@{ Address = Get-BasculeReachableAddress -Grant $Grant -Family $Family; Port = $Grant.Number }
}
