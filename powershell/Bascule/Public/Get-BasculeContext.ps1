function Get-BasculeContext {
    <#
    .SYNOPSIS
    Shows the server, the user and the subscription of this session.
    .DESCRIPTION
    Returns nothing if there is no connection. The output contains no secret.
    .EXAMPLE
    Get-BasculeContext

    Shows the current connection.
    #>
    [CmdletBinding(PositionalBinding = $false)]
    [OutputType('Bascule.Context')]
    param()
    process {
        if ($null -ne $script:Context) {
            $script:Context.PSObject.Copy()
        }
    }
}
