function ConvertTo-BasculePortRule {
    <#
    .SYNOPSIS
    A port rule of the wire; of the two kinds of source, the one that is not used is null.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    [pscustomobject]@{
        PSTypeName                   = 'Bascule.JitNetworkAccessPortRule'
        AllowedSourceAddressPrefix   = Get-BasculeProperty -InputObject $Data -Name 'allowedSourceAddressPrefix'
        AllowedSourceAddressPrefixes = ConvertTo-BasculePrefixList -Data $Data
        MaxRequestAccessDuration     = [string] $Data.maxRequestAccessDuration
        Number                       = [int] $Data.number
        Protocol                     = [string] $Data.protocol
    }
}
