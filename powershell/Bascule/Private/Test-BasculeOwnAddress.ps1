function Test-BasculeOwnAddress {
    <#
    .SYNOPSIS
    Is an address one of this host's own? Only those can be bound (bind(2), EADDRNOTAVAIL).
    .NOTES
    Loopback is everybody's own, and no machine sees us come from it; so it is not.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory)] [System.Net.IPAddress] $Address
    )
    $nobodys = [System.Net.IPAddress]::Any, [System.Net.IPAddress]::IPv6Any
    if ([System.Net.IPAddress]::IsLoopback($Address) -or $nobodys -contains $Address) {
        return $false
    }
    $socket = New-Object -TypeName System.Net.Sockets.Socket -ArgumentList @(
        $Address.AddressFamily, [System.Net.Sockets.SocketType]::Dgram, [System.Net.Sockets.ProtocolType]::Udp
    )
    try {
        $socket.Bind((New-Object -TypeName System.Net.IPEndPoint -ArgumentList $Address, 0))
        $true
    } catch {
        $false
    } finally {
        $socket.Dispose()
    }
}
