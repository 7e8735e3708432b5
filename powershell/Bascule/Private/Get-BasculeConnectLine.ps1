function Get-BasculeConnectLine {
    <#
    .SYNOPSIS
    The command that gets in by a grant, as bascule request prints it; empty while it is not open.
    .NOTES
    Which command is known by the machine's own port; where no program is known, an address and a port. Where
    a gateway leads to the machine, its public address and port are in it. ssh knows the host key by the
    machine's name. What does not pass the checks of names and addresses is no command (EDGES A18).
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [psobject] $Grant
    )
    if ($Grant.State -notin 'open', 'notConfirmed' -or $Grant.Machine -cnotmatch '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z') {
        return ''
    }
    try {
        $door = Get-BasculeDoor -Grant $Grant
    } catch {
        return ''  # no address is of a family that the grant lets in
    }
    $address, $port = $door.Address, $door.Port
    $isV6 = $address.Contains(':')
    $at = if ($isV6) { "[${address}]:$port" } else { "${address}:$port" }
    if ($Grant.Protocol -eq 'UDP') {
        return $at
    }
    $isTls = $Grant.Number -eq 5986
    switch ($Grant.Number) {
        22 { "ssh $(if ($port -ne 22) { "-p $port " })-o HostKeyAlias=$($Grant.Machine) $address" }
        3389 { "mstsc /v:$at" }
        5432 { "psql `"host=$address port=$port`"" }
        { $_ -in 5985, 5986 } {
            $target = if ($isV6) {  # PowerShell takes an IPv6 address in a URI alone
                "-ConnectionUri '$(if ($isTls) { 'https' } else { 'http' })://$at/wsman'"
            } else {
                "-ComputerName $address -Port $port$(if ($isTls) { ' -UseSSL' })"
            }
            "Enter-PSSession $target -Credential (Get-Credential)"
        }
        default { $at }
    }
}
