function Split-BasculeSshArgument {
    <#
    .SYNOPSIS
    Takes words for ssh apart: its options, the port among them, and the far side's command.
    .NOTES
    As getopt(3) reads the string of OpenSSH 10.0; the first word that is no option, or what
    follows --, begins the command, and everything behind it belongs to the far side.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [AllowEmptyCollection()] [AllowEmptyString()] [string[]] $Argument = @()
    )
    $ErrorActionPreference = 'Stop'
    $withValue = 'bceilmopBDEFIJLOPQRSwW'
    $options = New-Object -TypeName System.Collections.Generic.List[string]
    $port = 0
    $family = 0
    $place = 0
    while ($place -lt $Argument.Count -and $Argument[$place] -clike '-?*') {
        $word = $Argument[$place++]
        if ($word -eq '--') {
            break
        }
        for ($at = 1; $at -lt $word.Length; $at++) {
            $letter = [string] $word[$at]
            if (-not $withValue.Contains($letter)) {
                $options.Add("-$letter")
                if ('46'.Contains($letter)) { $family = [int] $letter }
                continue
            }
            $value = $word.Substring($at + 1)
            if (-not $value) {
                if ($place -ge $Argument.Count) {
                    throw (New-BasculeErrorRecord -Code 'InvalidSshOption' -Category InvalidArgument -Message (
                            "ssh's option -$letter wants a value."
                        ) -Target $word -Advice 'Write ssh''s own options after --: Enter-BasculeSSH web-1 -- -L 8080:localhost:80 -N')
                }
                $value = $Argument[$place++]
            }
            $number = if ($letter -ceq 'p') { $value } elseif (
                $letter -ceq 'o' -and $value -match '^\s*port\s*[=\s]\s*"?(\d{1,5})"?\s*$'
            ) { $Matches[1] } else { $null }
            if ($null -eq $number) {
                $options.Add("-$letter")
                $options.Add($value)
            } elseif ($number -cmatch '^[0-9]{1,5}\z' -and [int] $number -in 1..65535) {
                if ($port -eq 0 -or $letter -ceq 'p') { $port = [int] $number }  # ssh: the first value holds
            } else {
                throw (New-BasculeErrorRecord -Code 'InvalidPort' -Category InvalidArgument -Message (
                        "'$(Protect-BasculeText -Text $number)' is not a port number (1 to 65535)."
                    ) -Target $number -Advice 'Give it as -Port NUMBER.')
            }
            break
        }
    }
    $command = @(if ($place -lt $Argument.Count) { $Argument[$place..($Argument.Count - 1)] })
    [pscustomobject]@{ Options = $options.ToArray(); Command = $command; Port = $port; Family = $family }
}
