function Get-BasculeCompletion {
    <#
    .SYNOPSIS
    Names on the server that begin with a word, for the Tab key; nothing at all when in doubt.
    .NOTES
    Asks with the token at hand for at most two seconds and never signs in: a Tab key that hangs
    or prints errors is worse than one that does nothing. What was found is kept for ten seconds.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.CompletionResult])]
    param(
        [Parameter(Mandatory)] [ValidateSet('Machine', 'Policy', 'Location')] [string] $Kind,
        [Parameter(Mandatory)] [AllowEmptyString()] [string] $Word
    )
    $wanted = $Word.Trim('"', "'")
    try {
        $names = @(Get-BasculeKnownName -Kind $Kind)
    } catch {
        return
    }
    foreach ($name in $names) {
        if ($name.StartsWith($wanted, [System.StringComparison]::OrdinalIgnoreCase)) {
            New-Object -TypeName System.Management.Automation.CompletionResult -ArgumentList $name, $name, 'ParameterValue', $name
        }
    }
}
