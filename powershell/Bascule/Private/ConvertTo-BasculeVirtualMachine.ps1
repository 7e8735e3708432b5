function ConvertTo-BasculeVirtualMachine {
    <#
    .SYNOPSIS
    The virtualMachines of a body, from hashtables as the how-to writes them or from objects.
    .NOTES
    Az casts each value to its property's type: a one-element array becomes its element, as
    allowedSourceAddressPrefix=@("*") needs it; several prefixes go into the plural, which Az
    would have joined into one that is none. A name that no property has is refused before
    anything is sent: a misspelt source would otherwise stand for any.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [AllowEmptyCollection()] [AllowNull()] [object[]] $VirtualMachine,
        [Parameter(Mandatory)] [ValidateSet('Policy', 'Initiate')] [string] $For,
        [string] $Duration = '',  # ISO 8601; for ports that name no end
        [string] $UpTo = ''  # ISO 8601; for ports that name none
    )
    $ErrorActionPreference = 'Stop'
    $known = @{
        Policy   = @{
            Machine = 'id', 'ports', 'publicIpAddress'
            Port    = 'number', 'protocol', 'allowedSourceAddressPrefix', 'allowedSourceAddressPrefixes',
            'maxRequestAccessDuration', 'bascule'
        }
        Initiate = @{
            Machine = 'id', 'ports'
            Port    = 'number', 'endTimeUtc', 'duration', 'upTo', 'allowedSourceAddressPrefix', 'allowedSourceAddressPrefixes'
        }
    }[$For]
    $problems = New-Object -TypeName System.Collections.Generic.List[string]
    $machines = @(
        for ($m = 0; $m -lt @($VirtualMachine).Count; $m++) {
            $where = "VirtualMachine[$m]"
            $machine = Select-BasculeField -InputObject $VirtualMachine[$m] -Known $known.Machine -Where $where -Problem $problems
            $given = @($(if ($machine.Contains('ports')) { $machine['ports'] }))
            $machine['ports'] = @(
                for ($p = 0; $p -lt $given.Count; $p++) {
                    $port = Select-BasculeField -InputObject $given[$p] -Known $known.Port -Where "$where.ports[$p]" -Problem $problems
                    if ($Duration -and -not $port.Contains('endTimeUtc') -and -not $port.Contains('duration')) {
                        $port['duration'] = $Duration
                    }
                    if ($UpTo -and -not $port.Contains('upTo')) {
                        $port['upTo'] = $UpTo
                    }
                    Format-BasculePort -Port $port
                }
            )
            $machine
        }
    )
    if ($problems.Count) {
        throw (New-BasculeErrorRecord -Code 'InvalidVirtualMachine' -Category InvalidArgument -Message (
                $problems[0]
            ) -Reason $problems.ToArray() -Advice (
                "Known names: of a machine: $(@($known.Machine) -join ', '); of a port: $(@($known.Port) -join ', ')."
            ))
    }
    Write-Output -InputObject $machines -NoEnumerate
}
