function Enter-BasculeSSH {
    <#
    .SYNOPSIS
    Connects to a machine by ssh: asks for access if you have none, waits, starts ssh.
    .DESCRIPTION
    A grant of yours that lets this host in for half a minute yet is used again; else access is
    asked for and waited for. ssh then connects to the machine's address of the family that
    was granted, and known hosts are kept under the machine's name. $LASTEXITCODE is ssh's.

    Needs OpenSSH's client. What is meant for ssh goes after --.
    .PARAMETER Machine
    A machine's name or id; a user may stand before it: admin@web-1.
    .PARAMETER Port
    Which port. Default: 22, or the only one on offer.
    .PARAMETER Duration
    How long to ask for, when it has to ask: PT30M, 30m, 1h30m, '00:30:00' or a TimeSpan.
    Default: an hour, or the policy's maximum if that is shorter.
    .PARAMETER Justification
    The reason; stands in the record.
    .PARAMETER Policy
    Policy to use. Default: the one that allows the longest duration.
    .PARAMETER ArgumentList
    ssh's own options, and a command for the far side.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1

    A shell on web-1.
    .EXAMPLE
    Enter-BasculeSSH -Machine root@web-1 -Duration 30m -Justification 'ticket 4711' -- uptime

    Asks for half an hour, and runs one command.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1 -WhatIf

    Says what would be asked and started.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0)] [ValidateNotNullOrEmpty()] [string] $Machine,
        [ValidateRange(1, 65535)] [int] $Port,
        [ValidateNotNull()] [object] $Duration,
        [ValidateLength(0, 1024)] [string] $Justification = '',
        [string] $Policy = '',
        [Parameter(ValueFromRemainingArguments)] [AllowEmptyCollection()] [string[]] $ArgumentList = @()
    )
    Import-CallerPreference -Cmdlet $PSCmdlet
    $way = $null
    try {
        $wish = @{ Machine = $Machine; ArgumentList = $ArgumentList; Justification = $Justification; Policy = $Policy }
        foreach ($name in 'Port', 'Duration') {
            if ($PSBoundParameters.ContainsKey($name)) {
                $wish[$name] = $PSBoundParameters[$name]
            }
        }
        $way = Open-BasculeSshWay @wish -Cmdlet $PSCmdlet
    } catch {
        $PSCmdlet.WriteError($_)
    }
    if ($null -ne $way -and $PSCmdlet.ShouldProcess($way.Target, "Start ssh $($way.Words -join ' ')")) {
        $words = $way.Words
        & $way.Program @words
    }
}
