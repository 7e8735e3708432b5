# The module's root: loads one file a function, and decides under which names they go out.
#
# Public/ has what is exported, Private/ what is not; a file is named after its function.
# What is not here: anything that talks to a server (Private/Invoke-BasculeApi.ps1).

Set-StrictMode -Version Latest

$script:Context = $null  # of Connect-Bascule; holds no secret
$script:Session = $null  # its connection and its token; never printed

foreach ($folder in 'Private', 'Public') {
    $pattern = [System.IO.Path]::Combine($PSScriptRoot, $folder)
    foreach ($file in [System.IO.Directory]::GetFiles($pattern, '*.ps1')) {
        . $file
    }
}

$exported = @(
    foreach ($file in [System.IO.Directory]::GetFiles("$PSScriptRoot/Public", '*.ps1')) {
        [System.IO.Path]::GetFileNameWithoutExtension($file)
    }
)

# A function beats a compiled cmdlet of its name. Where Az.Security is loaded already its
# cmdlets keep their names and ours are had with Bascule before the noun (EDGES D1).
$PSModuleAutoLoadingPreference = 'None'  # asks what is loaded, loads nothing
$taken = @()
foreach ($name in @($exported -like '*-AzJit*')) {
    $prefixed = $name -replace '-', '-Bascule'
    Set-Item -Path "function:script:$prefixed" -Value (Get-Item -Path "function:$name").ScriptBlock
    $exported += $prefixed
    if (Get-Command -Name $name -CommandType Cmdlet -ErrorAction Ignore) {
        $taken += $name
    }
}
if ($taken) {
    $exported = @($exported | Where-Object -FilterScript { $_ -notin $taken })
    Write-Warning -Message (
        "Cmdlets of another module keep their names: $($taken -join ', '). Bascule's are named " +
        'like Get-BasculeAzJitNetworkAccessPolicy; or start a session without that module.'
    )
}

Export-ModuleMember -Function $exported -Alias @()
