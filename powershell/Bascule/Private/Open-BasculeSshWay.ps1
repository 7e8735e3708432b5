function Open-BasculeSshWay {
    <#
    .SYNOPSIS
    Makes sure that a port is open for us; returns ssh's program and words, nothing on -WhatIf.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory)] [string] $Machine,
        [AllowEmptyCollection()] [string[]] $ArgumentList = @(),
        [int] $Port = 0,
        [object] $Duration = $null,
        [string] $Justification = '',
        [string] $Policy = '',
        [object] $UpTo = $null,
        [object] $At = $null,
        [bool] $IsEmergency = $false,
        [Parameter(Mandatory)] [System.Management.Automation.PSCmdlet] $Cmdlet  # asks before it acts
    )
    $ErrorActionPreference = 'Stop'
    Assert-BasculeConnection
    $line = Split-BasculeSshArgument -Argument $ArgumentList
    $before = $Machine.LastIndexOf('@')
    $user = if ($before -ge 0) { $Machine.Substring(0, $before) } else { '' }
    if ($before -ge 0 -and $user -cnotmatch '^[A-Za-z0-9_.][A-Za-z0-9_.@\\-]{0,255}\$?\z') {
        throw (New-BasculeErrorRecord -Code 'InvalidUserName' -Category InvalidArgument -Message (
                "'$(Protect-BasculeText -Text $user)' is not a user name."
            ) -Target $Machine -Advice 'Write the user before the machine: admin@web-1.')
    }
    $span = if ($null -ne $Duration) { ConvertTo-BasculeDuration -Duration $Duration } else { '' }
    $longest = if ($null -ne $UpTo) { ConvertTo-BasculeDuration -Duration $UpTo } else { '' }
    $extra = Get-BasculeRequestExtra -At $At -IsEmergency $IsEmergency -Justification $Justification  # refuses one without a reason
    $found = Find-BasculeMachine -Name $Machine.Substring($before + 1)
    if ($found.name -cnotmatch '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z') {  # it goes into a command (EDGES A18)
        throw (New-BasculeErrorRecord -Code 'InvalidMachineName' -Category InvalidData -Message (
                "The server calls the machine '$(Protect-BasculeText -Text $found.name)', which is not a valid name."
            ) -Target $Machine -Advice 'Check that the endpoint is a Bascule server: Get-BasculeContext.')
    }
    $number = if ($Port) { $Port } else { $line.Port }
    $choice = Select-BasculePolicy -Machine $found -Port $number -PolicyName $Policy
    $program = Get-Command -Name ssh -CommandType Application -ErrorAction Ignore | Select-Object -First 1
    if ($null -eq $program) {
        throw (New-BasculeErrorRecord -Code 'SshNotFound' -Category NotInstalled -Message (
                'There is no ssh on the PATH.'
            ) -Advice 'Install OpenSSH''s client (Debian: apt install openssh-client; Windows: an optional feature).')
    }
    $start = [string] $extra['startTimeUtc']
    $grant = $null
    if (-not $start) {  # what is open now may be over then
        $grant = Find-BasculeLiveGrant -MachineId $found.id -Port $choice.Port -Family $line.Family
    }
    if ($null -eq $grant) {
        if (-not $span) {
            $span = ConvertTo-BasculeDuration -Duration $choice.Duration
        }
        if (-not $Cmdlet.ShouldProcess($found.name, "Request $(if ($IsEmergency) { 'emergency access to ' })port $($choice.Port) for $span$(if ($start) { " from $start" })")) {
            return
        }
        $asked = @{ Machine = $found; Choice = $choice; Duration = $span; Justification = $Justification }
        $asked += @{ UpTo = $longest; Start = $start; IsEmergency = $IsEmergency }
        $grant = Request-BasculePort @asked
    }
    $door = Get-BasculeDoor -Grant $grant -Family $line.Family
    # Ours come last, because ssh takes the first that it is told.
    $words = @($line.Options)
    if ($user) {
        $words += '-l', $user
    }
    if ($door.Port -ne 22 -or $number) {
        $words += '-p', [string] $door.Port
    }
    $words += '-o', "HostKeyAlias=$($found.name)", '--', $door.Address
    [pscustomobject]@{ Program = $program.Source; Words = @($words + $line.Command); Target = $found.name }
}
