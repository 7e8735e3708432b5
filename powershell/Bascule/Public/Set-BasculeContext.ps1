function Set-BasculeContext {
    <#
    .SYNOPSIS
    Chooses the subscription to work in.
    .PARAMETER Subscription
    Its id or its name; you must be allowed to see it.
    .EXAMPLE
    Set-BasculeContext -Subscription 'SUBSCRIPTIONID'

    Policies and machines are those of that subscription from now on.
    #>
    [CmdletBinding(SupportsShouldProcess, PositionalBinding = $false)]
    [OutputType('Bascule.Context')]
    param(
        [Parameter(Mandatory, ValueFromPipelineByPropertyName)]
        [Alias('SubscriptionId', 'SubscriptionName')]
        [ValidateNotNullOrEmpty()] [string] $Subscription
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            Assert-BasculeConnection
            $null = Get-BasculeToken
            $found = Find-BasculeSubscription -Session $script:Session -Wanted $Subscription
            if (-not $PSCmdlet.ShouldProcess($found.subscriptionId, 'Set subscription')) {
                return
            }
            $script:Context = New-BasculeContext -Session $script:Session -Subscription $found
        } catch {
            $PSCmdlet.WriteError($_)
            return
        }
        Get-BasculeContext
    }
}
