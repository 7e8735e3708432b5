function Read-BasculeAnswer {
    <#
    .SYNOPSIS
    The JSON of an answer; throws the ErrorRecord of one that is an error.
    .NOTES
    CloudError: code, message, details, additionalInfo; ours of type advice says what to do.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [pscustomobject] $Answer,
        [Parameter(Mandatory)] [string] $Path
    )
    $ErrorActionPreference = 'Stop'
    $status = $Answer.Status
    $data = $null
    if ($Answer.Text) {
        try {
            $data = ConvertFrom-BasculeJson -Text $Answer.Text
        } catch {
            if ($status -lt 400) {
                throw (New-BasculeErrorRecord -Code 'UnexpectedAnswer' -Category InvalidData -Message (
                        "The server answered $status with something that is not JSON."
                    ) -Target $Path -Status $status -Advice 'Check that the endpoint is a Bascule server: Get-BasculeContext.')
            }
        }
    }
    if ($status -lt 400 -and $status -ge 200 -and $status -lt 300) {
        return $data
    }
    $problem = Get-BasculeProperty -InputObject $data -Name 'error'
    $code = [string] (Get-BasculeProperty -InputObject $problem -Name 'code')
    $message = [string] (Get-BasculeProperty -InputObject $problem -Name 'message')
    $details = @(Get-BasculeProperty -InputObject $problem -Name 'details')
    $reasons = @($details | Where-Object -FilterScript { $null -ne $_ } | ForEach-Object -Process {
            [string] (Get-BasculeProperty -InputObject $_ -Name 'message')
        } | Where-Object -FilterScript { $_ })
    $advice = Get-BasculeAdvice -Problem $problem -Status $status
    $kinds = @{
        400 = 'InvalidArgument'; 401 = 'AuthenticationError'; 403 = 'PermissionDenied'
        404 = 'ObjectNotFound'; 409 = 'ResourceExists'; 413 = 'LimitsExceeded'
        429 = 'LimitsExceeded'; 502 = 'ResourceUnavailable'; 503 = 'ResourceUnavailable'
        504 = 'OperationTimeout'; 500 = 'InvalidResult'
    }
    $category = if ($kinds.ContainsKey($status)) { $kinds[$status] } else { 'InvalidOperation' }
    if (-not $code) { $code = "Http$status" }
    if (-not $message) { $message = "The server answered $status without details." }
    throw (New-BasculeErrorRecord -Code $code -Message $message -Category $category -Status $status `
            -Reason $reasons -Advice $advice -Target $Path)
}
