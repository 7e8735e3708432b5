function Enter-BasculeSSH {
    <#
    .SYNOPSIS
    Connects to a machine by ssh. Requests access first if you have none.
    .DESCRIPTION
    Uses your existing access if it admits this host for at least another half minute.
    Otherwise requests access and waits for it. ssh then connects to the machine's address of
    the granted family. Known hosts are stored under the machine's name. $LASTEXITCODE is the
    exit code of ssh.

    Needs the OpenSSH client. Give ssh's own options and a command after --.
    .PARAMETER Machine
    A machine's name or id, optionally with a user: admin@web-1.
    .PARAMETER Port
    The port. Default: 22, or the only one offered.
    .PARAMETER Duration
    Duration of the request, if one is needed: PT30M, 30m, 1h30m, '00:30:00' or a TimeSpan.
    Default: an hour, or the policy's maximum if that is shorter.
    .PARAMETER Justification
    The reason; it is recorded.
    .PARAMETER UpTo
    Ask approval for extensions up to this long after the opening, too: PT4H, 4h, '04:00:00' or a TimeSpan.
    .PARAMETER At
    Request access that opens then, wait for it, and connect: a DateTime (time of this host, unless it is
    UTC), a DateTimeOffset or ISO 8601. Its source is this host's address of now. Ctrl-C ends only
    the waiting: the request stands, and the same command waits for it again.
    .PARAMETER Emergency
    If access has to be requested: open without approval, for at most an hour. Needs -Justification, a role
    for it, and a second factor of the last 15 minutes. Somebody else reviews it.
    .PARAMETER Policy
    Policy to use. Default: the one that allows the longest duration.
    .PARAMETER ArgumentList
    ssh's own options, and a command to run on the machine.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1

    Opens a shell on web-1.
    .EXAMPLE
    Enter-BasculeSSH -Machine root@web-1 -Duration 30m -Justification 'ticket 4711' -- uptime

    Requests access for half an hour if needed, and runs one command.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1 -WhatIf

    Shows what would be requested and started.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1 -Emergency -Justification 'the database is down' -WhatIf

    Shows what emergency access would be requested, if none is open.
    .EXAMPLE
    Enter-BasculeSSH -Machine web-1 -At '2030-01-31T23:00' -WhatIf

    Shows what would be requested for that time.
    .LINK
    Get-BasculeAccessRequest
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0)] [ValidateNotNullOrEmpty()] [string] $Machine,
        [ValidateRange(1, 65535)] [int] $Port,
        [ValidateNotNull()] [object] $Duration,
        [ValidateLength(0, 1024)] [string] $Justification = '',
        [ValidateNotNull()] [object] $UpTo,
        [ValidateNotNullOrEmpty()] [object] $At,
        [switch] $Emergency,
        [string] $Policy = '',
        [Parameter(ValueFromRemainingArguments)] [AllowEmptyCollection()] [string[]] $ArgumentList = @()
    )
    Import-CallerPreference -Cmdlet $PSCmdlet
    $way = $null
    try {
        $wish = @{ Machine = $Machine; ArgumentList = $ArgumentList; Justification = $Justification; Policy = $Policy }
        $wish['IsEmergency'] = [bool] $Emergency
        foreach ($name in 'Port', 'Duration', 'UpTo', 'At') {
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
