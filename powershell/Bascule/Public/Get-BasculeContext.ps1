function Get-BasculeContext {
    <#
    .SYNOPSIS
    Shows where this session is connected, as whom, and in which subscription.
    .DESCRIPTION
    Answers nothing when there is no connection. Holds no secret.
    .EXAMPLE
    Get-BasculeContext

    The present connection.
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
