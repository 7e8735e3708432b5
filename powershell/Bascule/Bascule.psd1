@{
    RootModule           = 'Bascule.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '7c1d9d3e-5a0b-4b8e-9b1e-6f0f2a4be5c1'
    Author               = 'The Bascule authors'
    CompanyName          = 'Bascule'
    Copyright            = 'The Bascule authors. Apache License 2.0.'
    Description          = 'Just-in-time access to machines: the cmdlets of Az.Security against a Bascule server.'
    PowerShellVersion    = '5.1'
    CompatiblePSEditions = @('Core', 'Desktop')
    # The names with Bascule in them are the same functions, for use beside Az.Security.
    FunctionsToExport    = @(
        'Approve-BasculeAccessRequest'
        'Confirm-BasculeEmergencyAccess'
        'Connect-Bascule'
        'Deny-BasculeAccessRequest'
        'Disconnect-Bascule'
        'Enter-BasculeSSH'
        'Get-AzJitNetworkAccessPolicy'
        'Get-BasculeAccessRequest'
        'Get-BasculeActivity'
        'Get-BasculeAzJitNetworkAccessPolicy'
        'Get-BasculeContext'
        'Get-BasculeMachine'
        'New-BasculeRequestorRole'
        'Remove-AzJitNetworkAccessPolicy'
        'Remove-BasculeAzJitNetworkAccessPolicy'
        'Set-AzJitNetworkAccessPolicy'
        'Set-BasculeAzJitNetworkAccessPolicy'
        'Set-BasculeContext'
        'Start-AzJitNetworkAccessPolicy'
        'Start-BasculeAzJitNetworkAccessPolicy'
        'Stop-BasculeAccessRequest'
        'Wait-BasculeAccessRequest'
    )
    FormatsToProcess     = @('Bascule.Format.ps1xml')
    CmdletsToExport      = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags = @('JIT', 'firewall', 'access', 'Linux', 'Windows', 'MacOS')
        }
    }
}
