# The module as a whole: its manifest, its text, its help, its place beside Az.Security.

BeforeDiscovery {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../Bascule")
    Import-Module -Name "$root/Bascule.psd1" -Force
    $commands = @((Get-Module -Name Bascule).ExportedFunctions.Keys | Sort-Object)
}

BeforeAll {
    . "$PSScriptRoot/World.ps1"
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../Bascule")

    function Get-Parsed {
        param([string] $Path)
        $tokens = $null
        $errors = $null
        $ast = [System.Management.Automation.Language.Parser]::ParseFile($Path, [ref] $tokens, [ref] $errors)
        [pscustomobject]@{ Path = $Path; Name = [System.IO.Path]::GetFileName($Path); Ast = $ast; Tokens = $tokens; Errors = @($errors) }
    }

    # What Windows PowerShell 5.1 would not understand.
    function Get-Newer {
        param([object] $Parsed)
        $nodes = $Parsed.Ast.FindAll({
                param($node)
                $type = $node.GetType().Name
                $type -in 'TernaryExpressionAst', 'PipelineChainAst' -or
                ($type -eq 'ScriptBlockAst' -and $null -ne $node.CleanBlock) -or
                ($type -eq 'PipelineAst' -and $node.Background) -or
                ($type -in 'MemberExpressionAst', 'InvokeMemberExpressionAst', 'IndexExpressionAst' -and $node.NullConditional) -or
                ($type -eq 'CommandParameterAst' -and $node.ParameterName -eq 'Parallel')
            }, $true)
        $nodes | ForEach-Object -Process { "$($Parsed.Name): $($_.Extent.Text)" }
        $Parsed.Tokens | Where-Object -FilterScript {
            $_.Kind -in 'QuestionQuestion', 'QuestionQuestionEquals' -or
            ($_.Kind -eq 'Number' -and $_.Text -match '^[0-9.]+(u|y|uy|s|us|ul|n)$') -or
            ($_.Kind -in 'StringExpandable', 'HereStringExpandable' -and $_.Text -match '`e|`u\{')
        } | ForEach-Object -Process { "$($Parsed.Name): $($_.Text)" }
    }

    $known = @{}  # commands by name: to look one up takes a while

    # The arguments of a command that no parameter name stands before.
    function Get-Positional {
        param([System.Management.Automation.Language.CommandAst] $Call)
        $name = $Call.GetCommandName()
        if (-not $name) { return }
        if (-not $known.ContainsKey($name)) {
            $known[$name] = & (Get-Module -Name Bascule) { param($Name) Get-Command -Name $Name -ErrorAction Ignore } $name
        }
        $command = $known[$name]
        if ($null -eq $command -or $command.CommandType -eq 'Application') { return }
        $expected = $false
        foreach ($element in @($Call.CommandElements | Select-Object -Skip 1)) {
            if ($element -is [System.Management.Automation.Language.CommandParameterAst]) {
                $parameter = $command.Parameters[$element.ParameterName]
                $expected = $null -eq $element.Argument -and ($null -eq $parameter -or $parameter.ParameterType -ne [switch])
            } elseif ($expected) {
                $expected = $false
            } elseif (-not ($element -is [System.Management.Automation.Language.VariableExpressionAst] -and $element.Splatted)) {
                "$name $($element.Extent.Text)"
            }
        }
    }
}

Describe 'the manifest' {
    It 'passes, and names what there is' {
        $manifest = Test-ModuleManifest -Path "$root/Bascule.psd1" -ErrorAction Stop
        $public = (Get-ChildItem -Path "$root/Public").BaseName
        $prefixed = $public -like '*-AzJit*' -replace '-', '-Bascule'
        (@($manifest.ExportedFunctions.Keys) | Sort-Object) | Should -BeExactly (@($public) + @($prefixed) | Sort-Object)
        $manifest.ExportedAliases.Count | Should -Be 0
    }

    It 'has approved verbs alone' {
        $approved = (Get-Verb).Verb
        foreach ($name in (Get-ChildItem -Path "$root/Public", "$root/Private").BaseName) {
            $name.Split('-')[0] | Should -BeIn $approved -Because $name
        }
    }
}

Describe 'the text' {
    BeforeAll {
        $files = @(Get-ChildItem -Path $root -Recurse -Include '*.ps1', '*.psm1', '*.psd1')
        $all = @(foreach ($file in $files) { Get-Parsed -Path $file.FullName })
    }

    It 'is one function a file, under its name, in ASCII' {
        $all.Count | Should -BeGreaterThan 40
        $bad = foreach ($parsed in $all) {
            $parsed.Errors | ForEach-Object -Process { "$($parsed.Name): $_" }
            # Windows PowerShell reads a file without a mark as the machine's old code page.
            if ([System.IO.File]::ReadAllText($parsed.Path) -match '[^\x00-\x7F]') { "$($parsed.Name): not ASCII" }
            if ($parsed.Path -like '*.ps1') {
                $statements = @($parsed.Ast.EndBlock.Statements)
                $isOne = $statements.Count -eq 1 -and $statements[0] -is [System.Management.Automation.Language.FunctionDefinitionAst]
                if (-not $isOne -or "$($statements[0].Name).ps1" -cne $parsed.Name) { "$($parsed.Name): not one function of that name" }
            }
        }
        @($bad) | Should -BeNullOrEmpty
    }

    It 'keeps to the syntax of Windows PowerShell 5.1' {
        @(foreach ($parsed in $all) { Get-Newer -Parsed $parsed }) | Should -BeNullOrEmpty
    }

    It 'would be told if it did not: <code>' -ForEach @(
        @{ code = '$a ? 1 : 2' }, @{ code = 'a && b' }, @{ code = '$a ?? 1' }, @{ code = '$a ??= 1' }, @{ code = '${a}?.b' }
        @{ code = '${a}?[0]' }, @{ code = 'a &' }, @{ code = 'function f { clean { } }' }, @{ code = '7u' }, @{ code = '"`e[0m"' }
        @{ code = '1 | ForEach-Object -Parallel { 2 }' }
    ) {
        $path = Join-Path -Path $World.scratch -ChildPath 'newer.ps1'
        Set-Content -Path $path -Value $code
        @(Get-Newer -Parsed (Get-Parsed -Path $path)) | Should -Not -BeNullOrEmpty
    }

    It 'has no alias and no argument without its name' {
        $bad = foreach ($parsed in $all) {
            $calls = $parsed.Ast.FindAll({ param($node) $node -is [System.Management.Automation.Language.CommandAst] }, $true)
            foreach ($call in $calls) {
                $name = $call.GetCommandName()
                if ($name -and (Test-Path -Path "alias:$name")) { "$($parsed.Name): alias $name" }
                Get-Positional -Call $call | ForEach-Object -Process { "$($parsed.Name): $_" }
            }
        }
        @($bad) | Should -BeNullOrEmpty
    }
}

Describe 'the help of <_>' -ForEach @($commands -notlike '*-BasculeAzJit*') {
    It 'has a synopsis, a word on each parameter, and examples' {
        $help = Get-Help -Name $_ -Full
        $help.Synopsis | Should -Not -BeNullOrEmpty
        $help.Synopsis | Should -Not -Match '^\s*\w+-\w+ \['
        @($help.examples.example).Count | Should -BeGreaterOrEqual 1
        $common = @([System.Management.Automation.PSCmdlet]::CommonParameters) +
        @([System.Management.Automation.PSCmdlet]::OptionalCommonParameters)
        $described = @($help.parameters | ForEach-Object -Process { if ($_.PSObject.Properties['parameter']) { $_.parameter } } |
                Where-Object -FilterScript { $_.PSObject.Properties['description'] -and $_.description.Text } | ForEach-Object -Process { $_.name })
        $undescribed = (Get-Command -Name $_).Parameters.Keys | Where-Object -FilterScript { $_ -notin $common -and $_ -notin $described }
        $undescribed | Should -BeNullOrEmpty
    }
}

Describe 'beside Az.Security' {
    BeforeAll {
        # A compiled cmdlet of one of the names, as Az.Security has it.
        $library = Join-Path -Path $World.scratch -ChildPath "Az.Stand$([guid]::NewGuid().ToString('N')).dll"
        Add-Type -OutputAssembly $library -TypeDefinition @'
using System.Management.Automation;
[Cmdlet("Start", "AzJitNetworkAccessPolicy")]
public class StandIn : PSCmdlet { protected override void ProcessRecord() { WriteObject("compiled"); } }
'@
        function Invoke-Apart {
            param([string] $Text)
            $apart = [powershell]::Create([System.Management.Automation.RunspaceMode]::NewRunspace)
            try { $apart.AddScript($Text).Invoke(); $apart.Streams.Warning | ForEach-Object -Process { "warned: $_" } }
            finally { $apart.Dispose() }
        }
    }

    It 'leaves a loaded cmdlet its name, says so, and is there under its own' {
        $said = Invoke-Apart -Text @"
Import-Module -Name '$library'
Import-Module -Name '$root/Bascule.psd1'
(Get-Command -Name Start-AzJitNetworkAccessPolicy).CommandType
Start-AzJitNetworkAccessPolicy
(Get-Command -Name Start-BasculeAzJitNetworkAccessPolicy).CommandType
(Get-Command -Name Get-AzJitNetworkAccessPolicy).CommandType
"@
        $said[0..3] | Should -Be @('Cmdlet', 'compiled', 'Function', 'Function')
        $said[4] | Should -Match 'warned: .*Start-AzJitNetworkAccessPolicy.*Get-BasculeAzJit'
    }

    It 'wins when it was there first' {
        $said = Invoke-Apart -Text @"
Import-Module -Name '$root/Bascule.psd1'
Import-Module -Name '$library'
(Get-Command -Name Start-AzJitNetworkAccessPolicy).CommandType
"@
        $said | Should -Be 'Function'
    }
}

Describe 'JSON' {
    It 'is read the same by the parser for older PowerShells' {
        $text = '{"at":"2022-11-17T11:44:50.5921811Z","n":7,"f":1.5,"none":null,"yes":true,"list":[{"a":1}],"empty":[]}'
        $both = InModuleScope -ModuleName Bascule -Parameters @{ Text = $text } -ScriptBlock {
            $document = [System.Text.Json.JsonDocument]::Parse($Text)
            ConvertTo-Json -Depth 5 -Compress -InputObject (ConvertFrom-BasculeJsonElement -Element $document.RootElement)
            ConvertTo-Json -Depth 5 -Compress -InputObject (ConvertFrom-BasculeJson -Text $Text)
        }
        $both[0] | Should -BeExactly $text
        $both[1] | Should -BeExactly $text
    }
}
