# Runs the Pester tests once and writes what became of each as JSON: -Tests FOLDER -Result FILE.
#
# Started by test_pester.py, which has a server up and tells of it in $env:BASCULE_TEST_WORLD.
param(
    [Parameter(Mandatory)] [string] $Tests,
    [Parameter(Mandatory)] [string] $Result
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

Import-Module -Name Pester -MinimumVersion 5.3
$configuration = New-PesterConfiguration
$configuration.Run.Path = $Tests
$configuration.Run.PassThru = $true
$configuration.Output.Verbosity = 'None'
$run = Invoke-Pester -Configuration $configuration

$told = @(
    foreach ($test in $run.Tests) {
        [ordered]@{
            file    = [System.IO.Path]::GetFileName($test.ScriptBlock.File)
            name    = $test.ExpandedPath
            result  = [string] $test.Result
            message = (@($test.ErrorRecord | ForEach-Object -Process { "$_`n$($_.ScriptStackTrace)" }) -join "`n")
            seconds = [math]::Round($test.Duration.TotalSeconds, 2)
        }
    }
    # What stood in the way of a whole file: it does not parse, or its BeforeAll threw.
    foreach ($container in @($run.FailedContainers) + @($run.FailedBlocks)) {
        if ($null -ne $container) {
            [ordered]@{
                file    = [System.IO.Path]::GetFileName([string] $(
                        if ($container.PSObject.Properties['Item']) { $container.Item } else { $container.ScriptBlock.File }
                    ))
                name    = 'before its tests'
                result  = 'Failed'
                message = (@($container.ErrorRecord | ForEach-Object -Process { "$_" }) -join "`n")
                seconds = 0
            }
        }
    }
)
ConvertTo-Json -InputObject $told -Depth 4 | Set-Content -Path $Result -Encoding utf8
