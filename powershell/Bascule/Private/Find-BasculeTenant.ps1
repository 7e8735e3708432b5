function Find-BasculeTenant {
    <#
    .SYNOPSIS
    The tenant's id, as the server's metadata document tells anybody.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session
    )
    $ErrorActionPreference = 'Stop'
    $uri = "$($Session.Endpoint)/metadata/endpoints?api-version=2022-09-01"
    $answer = Send-BasculeRequest -Session $Session -Method GET -Uri $uri
    $tenant = ''
    if ($answer.Status -eq 200) {
        try {
            $about = Get-BasculeProperty -InputObject (ConvertFrom-BasculeJson -Text $answer.Text) -Name 'authentication'
            $tenant = [string] (Get-BasculeProperty -InputObject $about -Name 'tenant')
        } catch {
            $tenant = ''  # some page or other
        }
    }
    if (-not $tenant) {
        throw (New-BasculeErrorRecord -Code 'UnexpectedAnswer' -Category InvalidData -Status $answer.Status -Message (
                "$($Session.Endpoint) does not answer like a Bascule server."
            ) -Target $Session.Endpoint -Advice 'Check the address: Connect-Bascule -Endpoint https://HOST:8443')
    }
    $tenant
}
