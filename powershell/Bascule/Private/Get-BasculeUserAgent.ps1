function Get-BasculeUserAgent {
    <#
    .SYNOPSIS
    What the record names as our program: the module's and PowerShell's versions.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param()
    'bascule-powershell/{0} PowerShell/{1}' -f $ExecutionContext.SessionState.Module.Version, $PSVersionTable.PSVersion
}
