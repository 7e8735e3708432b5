function ConvertTo-BasculeActivity {
    <#
    .SYNOPSIS
    Makes a flat Bascule.Activity of one entry of the activity log; every value is a safe text.
    .NOTES
    The columns are documented in docs/powershell.md and only ever gain ones at the end. At stays
    a text with seven digits, because Export-Csv writes a DateTime as the culture has it.
    #>
    [CmdletBinding()]
    [OutputType('Bascule.Activity')]
    param(
        [Parameter(Mandatory, ValueFromPipeline)] [object] $Data
    )
    process {
        $own = Get-BasculeProperty -InputObject $Data -Name 'properties'
        $claims = Get-BasculeProperty -InputObject $Data -Name 'claims'
        $http = Get-BasculeProperty -InputObject $Data -Name 'httpRequest'
        $name = Get-BasculeProperty -InputObject $claims -Name 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name'
        $resource = [string] $Data.resourceId
        # Said by other columns, or too long for one.
        $told = @(
            'eventCategory', 'entity', 'message', 'serviceRequestId', 'userAgent', 'statusCode', 'requestbody'
            'justification', 'machine', 'machines', 'policy', 'uid', 'grantId', 'rules', 'previousRules'
        )
        $rest = foreach ($property in @($own.PSObject.Properties)) {
            if ($property.Name -notin $told -and $property.Value -notin '', 'false') {
                '{0}: {1}' -f $property.Name, ([string] $property.Value -replace '/subscriptions/[^,\s]*/', '')
            }
        }
        $about = "$resource, $(Get-BasculeProperty -InputObject $own -Name 'machines')"
        $machines = [regex]::Matches($about, '(?i)/virtualMachines/([^/,\s]+)') | ForEach-Object -Process { $_.Groups[1].Value }
        $cells = [ordered]@{
            At                = $Data.eventTimestamp
            Operation         = $Data.operationName.localizedValue
            Status            = $Data.status.value
            Caller            = $(if ($name) { $name } else { $Data.caller })
            CallerId          = $Data.caller
            CallerAddress     = Get-BasculeProperty -InputObject $http -Name 'clientIpAddress'
            Machine           = @($machines | Select-Object -Unique) -join ', '
            ResourceGroupName = $Data.resourceGroupName
            Justification     = Get-BasculeProperty -InputObject $own -Name 'justification'
            Detail            = @($rest) -join ', '
            Level             = $Data.level
            SubStatus         = $Data.subStatus.value
            OperationName     = $Data.operationName.value
            ResourceId        = $resource
            CorrelationId     = $Data.correlationId
            Client            = Get-BasculeProperty -InputObject $own -Name 'userAgent'
            EventId           = $Data.eventDataId
        }
        $made = [ordered]@{ PSTypeName = 'Bascule.Activity' }
        foreach ($column in $cells.Keys) {
            $made[$column] = Protect-BasculeText -Text ([string] $cells[$column]) -AsCell
        }
        [pscustomobject] $made
    }
}
