function Read-BasculeActivity {
    <#
    .SYNOPSIS
    Entries of the activity log since an instant, newest first.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Activity')]
    param(
        [Parameter(Mandatory)] [datetime] $Since,  # UTC
        [AllowEmptyCollection()] [string[]] $Clause = @(),
        [string] $Operation = '*'
    )
    $ErrorActionPreference = 'Stop'
    $path = '{0}/providers/Microsoft.Insights/eventtypes/management/values' -f (Get-BasculeSubscriptionPath)
    $clauses = @("eventTimestamp ge '{0}'" -f $Since.ToString('o')) + $Clause
    $query = @{ '$filter' = $clauses -join ' and ' }
    Invoke-BasculeApi -Method GET -Path $path -Query $query -ApiVersion '2015-04-01' -AllPages | Where-Object -FilterScript {
        $_.operationName.localizedValue -like $Operation -or $_.operationName.value -like $Operation
    } | ConvertTo-BasculeActivity
}
