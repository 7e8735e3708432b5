function Send-BasculeTokenRequest {
    <#
    .SYNOPSIS
    Posts a form to the tenant's token or devicecode page; the status, and the JSON or nothing.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory)] [hashtable] $Session,
        [Parameter(Mandatory)] [ValidateSet('token', 'devicecode', 'revoke')] [string] $Page,
        [Parameter(Mandatory)] [hashtable] $Form
    )
    $ErrorActionPreference = 'Stop'
    $uri = '{0}/{1}/oauth2/v2.0/{2}' -f $Session.Endpoint, $Session.TenantId, $Page
    $answer = Send-BasculeRequest -Session $Session -Method POST -Uri $uri -Form $Form
    $data = $null
    try {
        if ($answer.Text) {
            $data = ConvertFrom-BasculeJson -Text $answer.Text
        }
    } catch {
        $data = $null  # a proxy's page, say: the status speaks
    }
    [pscustomobject]@{ Status = $answer.Status; Data = $data }
}
