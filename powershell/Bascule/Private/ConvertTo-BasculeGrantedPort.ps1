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
    $stay = Get-BasculeProperty -InputObject $extras -Name 'drainsUntil'
    $approved = Get-BasculeProperty -InputObject $extras -Name 'approvedUntil'
    $public = @(
        foreach ($each in @(Get-BasculeProperty -InputObject $extras -Name 'publicPorts')) {
            if ($each) {
                [pscustomobject]@{
                    PublicIpAddress = Protect-BasculeText -Text ([string] $each.publicIpAddress)
                    MappedPort      = [int] $each.mappedPort
                    Protocol        = [string] $each.protocol
                    Gateway         = ([string] (Get-BasculeProperty -InputObject $each -Name 'gateway')).Split('/')[-1]
                }
            }
        }
    )
    $grant = [pscustomobject]@{
        PSTypeName        = 'Bascule.GrantedPort'
        Machine           = $MachineId.Split('/')[-1]
        Number            = [int] $Data.number
        Protocol          = "$(Get-BasculeProperty -InputObject $Data -Name 'protocol')"  # empty: it waits, or was refused
        State             = [string] $extras.state
        Sources           = @($sources | Where-Object -FilterScript { $_ })
        EndTimeUtc        = ConvertFrom-BasculeInstant -Text $Data.endTimeUtc
        Addresses         = @($Address | Where-Object -FilterScript { $_ })
        PublicIpAddress   = $(if ($public) { $public[0].PublicIpAddress })  # $null: no gateway leads there
        MappedPort        = $(if ($public) { $public[0].MappedPort })
        PublicPorts       = $public
        Status            = [string] (Get-BasculeProperty -InputObject $Data -Name 'status')  # empty: refused
        StatusReason      = [string] (Get-BasculeProperty -InputObject $Data -Name 'statusReason')
        SessionsAlive     = Get-BasculeProperty -InputObject $extras -Name 'sessionsAlive'  # $null: not told
        NotConfirmedSince = $(if ($silent) { ConvertFrom-BasculeInstant -Text $silent })
        DrainsUntil       = $(if ($stay) { ConvertFrom-BasculeInstant -Text $stay })  # $null: connections do not stay beyond the end
        ApprovedUntil     = $(if ($approved) { ConvertFrom-BasculeInstant -Text $approved })  # extensions until then need no new approval
        Failure           = Protect-BasculeText -Text (Get-BasculeProperty -InputObject $extras -Name 'failure')
        MachineId         = $MachineId
        GrantId           = [string] (Get-BasculeProperty -InputObject $extras -Name 'grantId')
        Connect           = ''  # the command that gets in; empty: not open
    }
    $grant.Connect = Get-BasculeConnectLine -Grant $grant
    $grant
}
