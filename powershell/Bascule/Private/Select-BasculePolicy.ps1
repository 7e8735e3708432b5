function Select-BasculePolicy {
    <#
    .SYNOPSIS
    Which policy and port a request for one machine means, and for how long at most.
    .DESCRIPTION
    Without a port: 22 where a policy offers it, else the only one on offer. Of the policies
    that offer the port the one with the longest maximum: only their limits differ, and the
    server decides anyway. Where none offers it the first is asked, so that the refusal has
    every reason and stands in the record.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory)] [object] $Machine,
        [int] $Port = 0,
        [string] $PolicyName = ''
    )
    $ErrorActionPreference = 'Stop'
    $name = $Machine.name
    $rules = Invoke-BasculeApi -Method GET -Path "$($Machine.id)/providers/Bascule.Access/machineRules/default"
    $policies = @($rules.properties.policies | Where-Object -FilterScript { $null -ne $_ })
    if ($policies.Count -eq 0) {
        throw (New-BasculeErrorRecord -Code 'MachineNotInPolicy' -Category PermissionDenied -Message (
                "No policy names $name, so nothing of it can be requested."
            ) -Target $name -Advice 'Its owner sets one: Set-AzJitNetworkAccessPolicy.')
    }
    if ($PolicyName) {
        $named = @($policies | Where-Object -FilterScript { $_.policyId.Split('/')[-1] -eq $PolicyName })
        if ($named.Count -eq 0) {
            $others = @($policies | ForEach-Object -Process { $_.policyId.Split('/')[-1] }) -join ', '
            throw (New-BasculeErrorRecord -Code 'PolicyNotFound' -Category ObjectNotFound -Message (
                    "No policy '$(Protect-BasculeText -Text $PolicyName)' names $name."
                ) -Target $PolicyName -Advice "These do: $others.")
        }
        $policies = $named
    }
    $offered = @($policies | ForEach-Object -Process { $_.ports } | ForEach-Object -Process { $_.number } | Sort-Object -Unique)
    if ($Port -eq 0) {
        if ($offered -contains 22) {
            $Port = 22
        } elseif ($offered.Count -eq 1) {
            $Port = $offered[0]
        } else {
            throw (New-BasculeErrorRecord -Code 'AmbiguousPort' -Category InvalidArgument -Message (
                    "$name offers $($offered.Count) ports; say which: $($offered -join ', ')."
                ) -Target $name -Advice 'Give one of them: -Port NUMBER.')
        }
    }
    $best = $null
    $longest = [timespan]::Zero
    foreach ($policy in $policies) {
        $spans = @(
            $policy.ports | Where-Object -FilterScript { $_.number -eq $Port } | ForEach-Object -Process {
                [System.Xml.XmlConvert]::ToTimeSpan($_.maxRequestAccessDuration)
            } | Sort-Object
        )
        if ($null -eq $best -or ($spans.Count -gt 0 -and $spans[0] -gt $longest)) {
            $best = $policy
            if ($spans.Count -gt 0) { $longest = $spans[0] }
        }
    }
    $hour = New-TimeSpan -Hours 1
    $default = if ($longest -gt [timespan]::Zero -and $longest -lt $hour) { $longest } else { $hour }
    [pscustomobject]@{ PolicyId = [string] $best.policyId; Port = $Port; Duration = $default }
}
