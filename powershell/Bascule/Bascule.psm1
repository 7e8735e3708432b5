# The module's root: loads one file a function, and decides under which names they go out.
#
# Public/ has what is exported, Private/ what is not; a file is named after its function.
# What is not here: anything that talks to a server (Private/Invoke-BasculeApi.ps1).

Set-StrictMode -Version Latest

$script:Context = $null  # of Connect-Bascule; holds no secret
$script:Session = $null  # its connection and its token; never printed
$script:KnownNames = $null  # what the Tab key was told last

# Parsed as one text: to dot-source each file takes three times as long, and somebody waits. A
# trace names the function, and so the file.
$exported = @()
$texts = foreach ($folder in 'Private', 'Public') {
    foreach ($file in [System.IO.Directory]::GetFiles("$PSScriptRoot/$folder", '*.ps1')) {
        [System.IO.File]::ReadAllText($file)
        if ($folder -eq 'Public') {
            $name = [System.IO.Path]::GetFileNameWithoutExtension($file)
            $exported += $name
            if ($name.Contains('-AzJit')) {
                # Its second name; Set-Item would load a whole module for this.
                '${{function:{0}}} = ${{function:{1}}}' -f $name.Replace('-', '-Bascule'), $name
            }
        }
    }
}
. ([scriptblock]::Create($texts -join "`n"))
Register-BasculeCompleter

# A function beats a compiled cmdlet of its name. Where Az.Security is loaded already its
# cmdlets keep their names and ours are had with Bascule before the noun (EDGES D1).
$PSModuleAutoLoadingPreference = 'None'  # asks what is loaded, loads nothing
$taken = @()
foreach ($name in $exported) {
    if ($name.Contains('-AzJit')) {
        $exported += $name.Replace('-', '-Bascule')
        if ($null -ne $ExecutionContext.InvokeCommand.GetCommand($name, 'Cmdlet')) {
            $taken += $name
        }
    }
}
if ($taken) {
    $exported = @($exported | Where-Object -FilterScript { $_ -notin $taken })
    Write-Warning -Message (
        "Another module already has these cmdlets: $($taken -join ', '). Bascule's are named " +
        'like Get-BasculeAzJitNetworkAccessPolicy. To use the plain names, start a session without that module.'
    )
}

Export-ModuleMember -Function $exported -Alias @()
