function Register-BasculeCompleter {
    <#
    .SYNOPSIS
    Gives the Tab key the names of machines, policies and locations.
    #>
    [CmdletBinding()]
    param()
    $ours = 'Get-BasculeAccessRequest', 'Get-BasculeActivity', 'Get-BasculeMachine', 'Enter-BasculeSSH', 'New-BasculeRequestorRole'
    $policies = foreach ($verb in 'Get', 'Set', 'Start', 'Remove') {
        "$verb-AzJitNetworkAccessPolicy"
        "$verb-BasculeAzJitNetworkAccessPolicy"
    }
    $machine = {
        param($command, $parameter, $word)
        $null = $command, $parameter
        Get-BasculeCompletion -Kind Machine -Word $word
    }
    $policy = {
        param($command, $parameter, $word)
        $null = $command, $parameter
        Get-BasculeCompletion -Kind Policy -Word $word
    }
    $location = {
        param($command, $parameter, $word)
        $null = $command, $parameter
        Get-BasculeCompletion -Kind Location -Word $word
    }
    Register-ArgumentCompleter -CommandName $ours -ParameterName Machine -ScriptBlock $machine
    Register-ArgumentCompleter -CommandName Get-BasculeMachine -ParameterName Name -ScriptBlock $machine
    Register-ArgumentCompleter -CommandName Enter-BasculeSSH -ParameterName Policy -ScriptBlock $policy
    Register-ArgumentCompleter -CommandName $policies -ParameterName Name -ScriptBlock $policy
    Register-ArgumentCompleter -CommandName $policies -ParameterName Location -ScriptBlock $location
}
