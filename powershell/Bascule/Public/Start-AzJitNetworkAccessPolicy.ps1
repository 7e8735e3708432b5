function Start-AzJitNetworkAccessPolicy {
    <#
    .SYNOPSIS
    Requests access: opens ports of machines for a limited time, as their policy allows.
    .DESCRIPTION
    The same parameters as the cmdlet of Az.Security, and -Justification, -Duration, -UpTo, -At and
    -Emergency. Machines are hashtables with id and ports. Each port has number, endTimeUtc (or duration)
    and allowedSourceAddressPrefix, whose default is the address that this call comes from. The
    cmdlet returns before the ports are open; Wait-BasculeAccessRequest waits until they are. If
    the policy does not allow the request, the error gives every reason.
    .PARAMETER ResourceGroupName
    The resource group.
    .PARAMETER Location
    The location of the policy.
    .PARAMETER Name
    The name of the policy.
    .PARAMETER ResourceId
    The id of the policy.
    .PARAMETER VirtualMachine
    The machines with their ports.
    .PARAMETER InputObject
    An object with Name, ResourceGroupName, Location and VirtualMachine.
    .PARAMETER Justification
    The reason; it is recorded.
    .PARAMETER Duration
    How long, for ports without an end of their own: PT1H, 01:00:00 or a TimeSpan.
    .PARAMETER UpTo
    Ask approval for extensions up to this long after the opening, too: PT4H, 4h, '04:00:00' or a TimeSpan.
    .PARAMETER At
    When to open: a DateTime (time of this host, unless it is UTC), a DateTimeOffset or ISO 8601. Each
    port then needs its allowedSourceAddressPrefix. The request is judged now, and again at its start.
    .PARAMETER Emergency
    Open without approval, for at most an hour. Needs -Justification, a role for it, and a second factor
    of the last 15 minutes. The machines' owners are told at once, and somebody else reviews it.
    .PARAMETER DefaultProfile
    A context of this session, whose subscription is used instead of the current one.
    .EXAMPLE
    $JitPolicyVm1 = (@{
        id="/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME";
        ports=(@{
           number=22;
           endTimeUtc="ENDTIMEUTC";
           allowedSourceAddressPrefix=@("IPV4ADDRESS")})})
    Start-AzJitNetworkAccessPolicy -ResourceId "/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Security/locations/LOCATION/jitNetworkAccessPolicies/default" -VirtualMachine @($JitPolicyVm1)

    Opens port 22 of one machine, for one address, until that time.
    .EXAMPLE
    $machine = @{
        id    = '/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME'
        ports = @{ number = 22 }
    }
    Start-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'default' -VirtualMachine $machine -Duration 01:00:00 -Justification 'disk is full'

    Opens port 22 for an hour, for the address that this call comes from.
    .EXAMPLE
    $machine = @{
        id    = '/subscriptions/SUBSCRIPTIONID/resourceGroups/RESOURCEGROUP/providers/Microsoft.Compute/virtualMachines/VMNAME'
        ports = @{ number = 22; allowedSourceAddressPrefix = 'IPV4ADDRESS' }
    }
    Start-AzJitNetworkAccessPolicy -ResourceGroupName 'RESOURCEGROUP' -Location 'LOCATION' -Name 'default' -VirtualMachine $machine -At (Get-Date).AddHours(2) -Duration 30m -UpTo 2h

    Opens port 22 in two hours, for half an hour. If approval is needed, one covers extensions up to two hours.
    #>
    [CmdletBinding(SupportsShouldProcess, PositionalBinding = $false, DefaultParameterSetName = 'ResourceGroupLevelResource')]
    [OutputType('Bascule.JitNetworkAccessRequest')]
    param(
        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $ResourceGroupName,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Location,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [ValidateNotNullOrEmpty()] [string] $Name,

        [Parameter(Mandatory, ParameterSetName = 'ResourceGroupLevelResource')]
        [Parameter(Mandatory, ParameterSetName = 'ResourceId')]
        [ValidateNotNullOrEmpty()] [object[]] $VirtualMachine,

        [Parameter(Mandatory, ParameterSetName = 'ResourceId', ValueFromPipelineByPropertyName)]
        [ValidateNotNullOrEmpty()] [string] $ResourceId,

        [Parameter(Mandatory, ParameterSetName = 'InputObject', ValueFromPipeline)]
        [ValidateNotNullOrEmpty()] [object] $InputObject,

        [string] $Justification,

        [ValidateNotNullOrEmpty()] [object] $Duration,

        [ValidateNotNullOrEmpty()] [object] $UpTo,

        [ValidateNotNullOrEmpty()] [object] $At,

        [switch] $Emergency,

        [Alias('AzContext', 'AzureRmContext', 'AzureCredential')]
        [object] $DefaultProfile
    )
    begin {
        Import-CallerPreference -Cmdlet $PSCmdlet
    }
    process {
        try {
            $where = @{ DefaultProfile = $DefaultProfile }
            $machines = $VirtualMachine
            switch ($PSCmdlet.ParameterSetName) {
                'ResourceId' { $where['ResourceId'] = $ResourceId }
                'InputObject' {
                    foreach ($part in 'ResourceGroupName', 'Location', 'Name') {
                        $where[$part] = [string] (Get-BasculeProperty -InputObject $InputObject -Name $part)
                    }
                    $machines = @(Get-BasculeProperty -InputObject $InputObject -Name 'VirtualMachine')
                }
                default { $where += @{ ResourceGroupName = $ResourceGroupName; Location = $Location; Name = $Name } }
            }
            $path = Resolve-BasculePolicyPath @where
            $span = if ($PSBoundParameters.ContainsKey('Duration')) { ConvertTo-BasculeDuration -Duration $Duration } else { '' }
            $longest = if ($PSBoundParameters.ContainsKey('UpTo')) { ConvertTo-BasculeDuration -Duration $UpTo } else { '' }
            $body = @{
                virtualMachines = ConvertTo-BasculeVirtualMachine -VirtualMachine $machines -For Initiate -Duration $span -UpTo $longest
            }
            $extra = Get-BasculeRequestExtra -At $At -IsEmergency $Emergency -Justification $Justification
            if ($extra.Count) {
                $body['bascule'] = $extra
            }
            if ($PSBoundParameters.ContainsKey('Justification')) {
                $body['justification'] = $Justification
            }
            if (-not $PSCmdlet.ShouldProcess($path, 'Start access')) {
                return
            }
            $answer = Invoke-BasculeApi -Method POST -Path "$path/initiate" -Body $body
            $request = ConvertTo-BasculeRequest -Data $answer
        } catch {
            $PSCmdlet.WriteError($_)
            return
        }
        if ($longest -and (Get-BasculeProperty -InputObject $answer.bascule -Name 'state') -notin 'waiting', 'scheduled') {
            $ports = @($answer.virtualMachines | ForEach-Object -Process { $_.ports } | ForEach-Object -Process {
                    [pscustomobject]@{ ApprovedUntil = Get-BasculeProperty -InputObject $_.bascule -Name 'approvedUntil' }
                })
            Write-BasculeReachWarning -UpTo $longest -Duration $span -Port $ports
        }
        $request
    }
}
