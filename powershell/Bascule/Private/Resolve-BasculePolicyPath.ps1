function Resolve-BasculePolicyPath {
    <#
    .SYNOPSIS
    The path of one policy, from its id or from group, location and name.
    .NOTES
    Whatever may stand for a policy is checked here, so that nothing else is ever called.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [AllowEmptyString()] [string] $ResourceId = '',
        [AllowEmptyString()] [string] $ResourceGroupName = '',
        [AllowEmptyString()] [string] $Location = '',
        [AllowEmptyString()] [string] $Name = '',
        [object] $DefaultProfile = $null
    )
    $ErrorActionPreference = 'Stop'
    Assert-BasculeConnection
    if (-not $ResourceId) {
        $ResourceId = '{0}/resourceGroups/{1}/providers/Microsoft.Security/locations/{2}/jitNetworkAccessPolicies/{3}' -f @(
            (Get-BasculeScope -DefaultProfile $DefaultProfile), $ResourceGroupName, $Location, $Name
        )
    }
    $form = '^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Security/locations/[^/]+' +
    '/jitNetworkAccessPolicies/[^/]+/?$'
    if ($ResourceId -notmatch $form) {
        throw (New-BasculeErrorRecord -Code 'InvalidResourceId' -Category InvalidArgument -Message (
                "'$ResourceId' is not the id of a policy."
            ) -Target $ResourceId -Advice (
                'It reads /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Security/locations/' +
                'LOCATION/jitNetworkAccessPolicies/NAME; Get-AzJitNetworkAccessPolicy shows it as Id.'
            ))
    }
    $ResourceId.TrimEnd('/')
}
