function Write-BasculeReachWarning {
    <#
    .SYNOPSIS
    Warns if -UpTo changed nothing: nobody had to approve the request, or it is no longer than the duration.
    #>
    [CmdletBinding()]
    param(
        [AllowEmptyString()] [string] $UpTo = '',  # ISO 8601
        [AllowEmptyString()] [string] $Duration = '',  # ISO 8601; empty: ports have ends of their own
        [AllowEmptyCollection()] [psobject[]] $Port = @()  # that were granted
    )
    if (-not $UpTo -or $Port.Count -eq 0) {
        return
    }
    if (-not ($Port | Where-Object -FilterScript { $_.ApprovedUntil })) {
        Write-Warning -Message 'Nobody had to approve this, so -UpTo changed nothing. Extend access as usual.'
    } elseif ($Duration -and [System.Xml.XmlConvert]::ToTimeSpan($UpTo) -le [System.Xml.XmlConvert]::ToTimeSpan($Duration)) {
        Write-Warning -Message '-UpTo is no longer than the duration, so it changed nothing.'
    }
}
