function Format-BasculePort {
    <#
    .SYNOPSIS
    One port's values in the types of the wire.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [System.Collections.IDictionary] $Port
    )
    $ErrorActionPreference = 'Stop'
    foreach ($name in @($Port.Keys)) {
        $values = @($Port[$name])
        switch ($name) {
            'number' {
                $number = 0
                if ([int]::TryParse([string] $Port[$name], [ref] $number)) {
                    $Port[$name] = $number
                }
            }
            'allowedSourceAddressPrefix' {
                if ($values.Count -eq 1) {
                    $Port[$name] = [string] $values[0]
                } else {
                    $Port.Remove($name)
                    $Port['allowedSourceAddressPrefixes'] = [string[]] $values
                }
            }
            'allowedSourceAddressPrefixes' { $Port[$name] = [string[]] $values }
            'endTimeUtc' { $Port[$name] = ConvertTo-BasculeInstant -Instant $values[0] }
            { $_ -in 'duration', 'upTo', 'maxRequestAccessDuration' } {
                $Port[$name] = ConvertTo-BasculeDuration -Duration $values[0]
            }
            'protocol' { $Port[$name] = [string] $values[0] }
        }
    }
    $Port
}
