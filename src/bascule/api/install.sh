#!/bin/sh
# Installs Bascule's agent on a Debian, and enrols it:  sh FILE URL FINGERPRINT [OPTION...]
#
# URL is the server's, FINGERPRINT the SHA-256 of its CA certificate. OPTIONs are those of
# "bascule agent install"; it asks for the enrolment token, unless --token-file or
# BASCULE_ENROLMENT_TOKEN gives it. What is downloaded is believed by its SHA-256 alone, which stands below.
# All of it is one compound command: the shell runs nothing before it has read the last line.

{
fail() {
    printf 'bascule: %s\n' "$*" >&2
    exit 1
}

install_bascule() {
    set -eu
    umask 022
    server=${1:-} fingerprint=${2:-}
    case $server in
    https://*) ;;
    *) fail "Usage: sh FILE URL FINGERPRINT [OPTION...]. Copy the whole line that 'bascule machine enrol' prints." ;;
    esac
    [ -n "$fingerprint" ] || fail "The fingerprint is missing. Copy the whole line."
    shift 2
    [ "$(id -u)" = 0 ] || fail "Run this as root. Nothing was done."
    helper=/usr/lib/apt/apt-helper
    [ -x "$helper" ] || fail "This is no Debian: there is no $helper. Nothing was done."
    token=${BASCULE_ENROLMENT_TOKEN:-}
    unset BASCULE_ENROLMENT_TOKEN # apt and what it starts have no use for it
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 130' HUP INT TERM
    wanted="$folder/wanted"
    cat >"$wanted" <<'END'
@PACKAGES@
END
    printf 'bascule: downloading from %s\n' "$server" >&2
    while read -r hash path; do
        "$helper" -qq -o APT::Sandbox::User=root -o Acquire::https::Verify-Peer=false \
            -o Acquire::https::Verify-Host=false download-file "$server/packages/$path" \
            "$folder/${path##*/}" >"$folder/log" 2>&1 </dev/null || {
            cat "$folder/log" >&2
            fail "$server/packages/$path cannot be downloaded. Nothing was installed."
        }
        printf '%s  %s\n' "$hash" "$folder/${path##*/}" | sha256sum -c --quiet - >&2 ||
            fail "${path##*/} is not the package that the line names: the server was upgraded since, or" \
                "something intercepts the connection. Nothing was installed. Get a new line."
    done <"$wanted"
    printf 'bascule: installing %s and what they need\n' '@NAMES@' >&2
    if ! put_in_place "$folder" && ! { apt-get -q update >"$folder/log" 2>&1 && put_in_place "$folder"; }; then
        cat "$folder/log" >&2
        fail "apt could not install it; the reason stands above."
    fi
    if [ -n "$token" ]; then
        BASCULE_ENROLMENT_TOKEN=$token /usr/bin/bascule agent install --server "$server" \
            --fingerprint "$fingerprint" "$@"
    else
        /usr/bin/bascule agent install --server "$server" --fingerprint "$fingerprint" "$@"
    fi
}

put_in_place() {
    apt-get -q -y --no-remove install "$1"/*.deb >"$1/log" 2>&1 </dev/null
}

install_bascule "$@"; }
