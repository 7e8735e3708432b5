function Find-BasculeMachine {
    <#
    .SYNOPSIS
    One machine's resource, by its name in any resource group or by its whole id.
    .NOTES
    Throws MachineNotFound, and AmbiguousMachine with the ids when a name is that of several.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Name
    )
    $ErrorActionPreference = 'Stop'
    $machines = '{0}/providers/Microsoft.Compute/virtualMachines' -f (Get-BasculeSubscriptionPath)
    if ($Name -match '^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute/virtualMachines/[^/]+/?$') {
        return Invoke-BasculeApi -Method GET -Path $Name.TrimEnd('/')
    }
    if ($Name -cnotmatch '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z') {
        throw (New-BasculeErrorRecord -Code 'InvalidMachineName' -Category InvalidArgument -Message (
                "'$(Protect-BasculeText -Text $Name)' is not a machine's name or id."
            ) -Target $Name -Advice 'Names have letters, digits, dots, dashes and underscores, at most 64: Get-BasculeMachine lists them.')
    }
    $found = @(Invoke-BasculeApi -Method GET -Path $machines -Query @{ '$filter' = "name eq '$Name'" } -AllPages)
    if ($found.Count -eq 0) {
        throw (New-BasculeErrorRecord -Code 'MachineNotFound' -Category ObjectNotFound -Message (
                "There is no machine '$Name' that you may see."
            ) -Target $Name -Advice 'To list machines: Get-BasculeMachine.')
    }
    if ($found.Count -gt 1) {
        throw (New-BasculeErrorRecord -Code 'AmbiguousMachine' -Category InvalidArgument -Message (
                "$($found.Count) machines are called '$Name'."
            ) -Reason @($found.id) -Target $Name -Advice 'Give the id instead.')
    }
    $found[0]
}
