function Protect-BasculeText {
    <#
    .SYNOPSIS
    One line of plain text: white space is a space, control and direction characters are out.
    .DESCRIPTION
    A justification or a name may hold sequences that rewrite a terminal or make a line read
    otherwise than it is (EDGES A18). With AsCell an apostrophe goes before what a spreadsheet
    would run as a formula; full-width signs count, as some spreadsheets take them for the others.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [AllowNull()] [AllowEmptyString()] [string] $Text,
        [switch] $AsCell
    )
    # C0, DEL, C1; soft hyphen and marks; zero width, direction, lines; lone surrogates; tags.
    $unsafe = '[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]' +
    '|\udb40[\udc00-\udc7f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]'
    $plain = [regex]::Replace($Text, '[\t\n\r\v\f\u0085\u2028\u2029]+', ' ')
    $plain = [regex]::Replace($plain, $unsafe, '')
    if ($AsCell -and $plain -match '^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]') {
        return "'$plain"
    }
    $plain
}
