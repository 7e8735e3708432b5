<#
.SYNOPSIS
Checks the module's style with PSScriptAnalyzer, where it is installed.
.DESCRIPTION
Ends with 0 when there is nothing to say or no PSScriptAnalyzer, and with 1 otherwise. What does
not need it (syntax of Windows PowerShell 5.1, help, aliases) is in powershell/tests.
.EXAMPLE
pwsh -NoProfile -File powershell/tools/Test-Style.ps1
#>
[CmdletBinding()]
param(
    [string] $Path = (Join-Path -Path $PSScriptRoot -ChildPath '../Bascule')
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

if (-not (Get-Module -Name PSScriptAnalyzer -ListAvailable)) {
    Write-Warning -Message 'Not run: PSScriptAnalyzer is not installed (Install-Module -Name PSScriptAnalyzer).'
    exit 0
}
Import-Module -Name PSScriptAnalyzer
$settings = @{
    Severity     = @('Error', 'Warning')
    # Reasons: in the module's own functions a plain verb promises no state beyond a call of
    # the API; the public ones that change something have ShouldProcess by their Pester tests.
    ExcludeRules = @('PSUseShouldProcessForStateChangingFunctions', 'PSUseSingularNouns')
    Rules        = @{
        PSUseCompatibleSyntax = @{ Enable = $true; TargetVersions = @('5.1', '7.0') }
        PSAvoidUsingPositionalParameters = @{ Enable = $true }
        PSAvoidUsingCmdletAliases = @{ Enable = $true }
    }
}
$found = @(Invoke-ScriptAnalyzer -Path (Resolve-Path -Path $Path).Path -Recurse -Settings $settings)
$found | Format-Table -AutoSize -Property Severity, RuleName, ScriptName, Line, Message
if ($found.Count -gt 0) {
    exit 1
}
