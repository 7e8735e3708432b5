function Get-BasculeUri {
    <#
    .SYNOPSIS
    The absolute address of a path on the connected server, everything escaped.
    .NOTES
    A segment "." or ".." would name another resource than the one it stands for: refused.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [string] $Path,
        [hashtable] $Query = @{}
    )
    $ErrorActionPreference = 'Stop'
    $segments = @($Path.Trim('/').Split('/'))
    if ($segments -contains '.' -or $segments -contains '..' -or $segments -contains '') {
        throw (New-BasculeErrorRecord -Code 'InvalidResourceId' -Category InvalidArgument -Message (
                "'$Path' names no resource: one of its parts is empty, '.' or '..'."
            ) -Target $Path -Advice 'Give names and ids as Get-AzJitNetworkAccessPolicy shows them.')
    }
    $escaped = foreach ($segment in $segments) { [System.Uri]::EscapeDataString($segment) }
    $pairs = foreach ($name in ($Query.Keys | Sort-Object)) {
        '{0}={1}' -f [System.Uri]::EscapeDataString($name), [System.Uri]::EscapeDataString([string] $Query[$name])
    }
    '{0}/{1}?{2}' -f $script:Session.Endpoint, ($escaped -join '/'), (@($pairs) -join '&')
}
