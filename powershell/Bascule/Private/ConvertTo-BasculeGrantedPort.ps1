function ConvertTo-BasculeGrantedPort {
    <#
    .SYNOPSIS
    Makes a Bascule.GrantedPort of one port of an access request.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.GrantedPort')]
    param(
        [Parameter(Mandatory)] [object] $Data,
        [Parameter(Mandatory)] [string] $MachineId,
        [AllowEmptyCollection()] [AllowNull()] [string[]] $Address = @()
    )
    $extras = Get-BasculeProperty -InputObject $Data -Name 'bascule'
    $sources = @(Get-BasculeProperty -InputObject $Data -Name 'allowedSourceAddressPrefixes')
    if (-not $sources) {
        $sources = @(Get-BasculeProperty -InputObject $Data -Name 'allowedSourceAddressPrefix')
    }
    $silent = Get-BasculeProperty -InputObject $extras -Name 'notConfirmedSince'
    [pscustomobject]@{
        PSTypeName        = 'Bascule.GrantedPort'
        Machine           = $MachineId.Split('/')[-1]
        Number            = [int] $Data.number
        Protocol          = [string] (Get-BasculeProperty -InputObject $Data -Name 'protocol')
        State             = [string] $extras.state
        Sources           = @($sources | Where-Object -FilterScript { $_ })
        EndTimeUtc        = ConvertFrom-BasculeInstant -Text $Data.endTimeUtc
        Addresses         = @($Address | Where-Object -FilterScript { $_ })
        Status            = [string] (Get-BasculeProperty -InputObject $Data -Name 'status')  # empty: refused
        StatusReason      = [string] (Get-BasculeProperty -InputObject $Data -Name 'statusReason')
        SessionsAlive     = Get-BasculeProperty -InputObject $extras -Name 'sessionsAlive'  # $null: not told
        NotConfirmedSince = $(if ($silent) { ConvertFrom-BasculeInstant -Text $silent })
        Failure           = Protect-BasculeText -Text (Get-BasculeProperty -InputObject $extras -Name 'failure')
        MachineId         = $MachineId
        GrantId           = [string] (Get-BasculeProperty -InputObject $extras -Name 'grantId')
    }
}
