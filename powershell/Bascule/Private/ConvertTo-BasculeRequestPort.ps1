function ConvertTo-BasculeRequestPort {
    <#
    .SYNOPSIS
    One port of a request; State is ours: open means that its host reported it so.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [object] $Data
    )
    $ours = Get-BasculeProperty -InputObject $Data -Name 'bascule'
    [pscustomobject]@{
        PSTypeName                   = 'Bascule.JitNetworkAccessRequestPort'
        AllowedSourceAddressPrefix   = Get-BasculeProperty -InputObject $Data -Name 'allowedSourceAddressPrefix'
        AllowedSourceAddressPrefixes = ConvertTo-BasculePrefixList -Data $Data
        EndTimeUtc                   = ConvertFrom-BasculeInstant -Text $Data.endTimeUtc
        Number                       = [int] $Data.number
        MappedPort                   = Get-BasculeProperty -InputObject $Data -Name 'mappedPort'  # $null: no gateway leads there
        Status                       = [string] $Data.status
        StatusReason                 = [string] $Data.statusReason
        State                        = [string] (Get-BasculeProperty -InputObject $ours -Name 'state')
    }
}
