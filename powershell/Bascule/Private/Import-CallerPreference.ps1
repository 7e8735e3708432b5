function Import-CallerPreference {
    <#
    .SYNOPSIS
    Gives a function of this module the preferences of the script that called it.
    .NOTES
    A module's functions see the global preferences and not those of the script that calls
    them, unlike compiled cmdlets: a script that sets $ErrorActionPreference = 'Stop' would
    not stop. Every public function begins with this.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [System.Management.Automation.PSCmdlet] $Cmdlet
    )
    $bound = $Cmdlet.MyInvocation.BoundParameters
    $names = @{
        ErrorActionPreference = 'ErrorAction'
        WarningPreference     = 'WarningAction'
        ConfirmPreference     = 'Confirm'
        WhatIfPreference      = 'WhatIf'
        VerbosePreference     = 'Verbose'
        ProgressPreference    = 'ProgressAction'
    }
    foreach ($preference in $names.Keys) {
        if (-not $bound.ContainsKey($names[$preference])) {
            $value = $Cmdlet.SessionState.PSVariable.GetValue($preference)
            if ($null -ne $value) {
                Set-Variable -Scope 1 -Name $preference -Value $value -WhatIf:$false -Confirm:$false
            }
        }
    }
}
