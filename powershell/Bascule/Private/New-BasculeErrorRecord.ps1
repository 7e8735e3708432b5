function New-BasculeErrorRecord {
    <#
    .SYNOPSIS
    Makes an ErrorRecord: what happened, every reason, and what to do next.
    .NOTES
    The code is the record's error id; PowerShell adds the command's name to it after a comma.
    It also stands alone in the exception's Data, as Code.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory)] [string] $Code,
        [Parameter(Mandatory)] [string] $Message,
        [System.Management.Automation.ErrorCategory] $Category = 'InvalidOperation',
        [AllowEmptyString()] [string] $Advice = '',
        [string[]] $Reason = @(),  # one sentence each
        [object] $Target = $null,
        [int] $Status = 0  # of HTTP; 0 when no server said it
    )
    $exception = New-Object -TypeName System.InvalidOperationException -ArgumentList $Message
    $exception.Data['Code'] = $Code
    $exception.Data['Status'] = $Status
    $exception.Data['Reasons'] = $Reason
    $record = New-Object -TypeName System.Management.Automation.ErrorRecord -ArgumentList @(
        $exception, $Code, $Category, $Target
    )
    $line = @($Message)
    $line += @($Reason | Where-Object -FilterScript { $_ -ne $Message } | ForEach-Object -Process { "- $_" })
    if ($Advice -and $PSVersionTable.PSVersion.Major -lt 6) {
        $line += $Advice  # PowerShell 7 shows the recommended action by itself
    }
    $details = New-Object -TypeName System.Management.Automation.ErrorDetails -ArgumentList @(
        ,($line -join [System.Environment]::NewLine)
    )
    $details.RecommendedAction = $Advice
    $record.ErrorDetails = $details
    $record
}
