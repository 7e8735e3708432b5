# What compile made for modules that are gone.
tidy() {
    [ -d /usr/lib/bascule ] || return 0
    find /usr/lib/bascule -depth -type d -name __pycache__ | while read -r cache; do
        set -- "${cache%/*}"/*.py
        [ -e "$1" ] || rm -rf "$cache"
    done
    find /usr/lib/bascule -depth -type d -empty -delete
}
