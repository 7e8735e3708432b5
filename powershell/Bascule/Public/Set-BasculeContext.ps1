function Set-BasculeContext {
    <#
    .SYNOPSIS
    Chooses the subscription to work in.
    .PARAMETER Subscription
    Id or name of a subscription that you may see.
    .EXAMPLE
    Set-BasculeContext -Subscription 'SUBSCRIPTIONID'

    From now on, cmdlets use the policies and machines of that subscription.
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
