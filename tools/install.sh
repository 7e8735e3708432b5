#!/usr/bin/env bash
# Make the virtual environment with bascule in it, and see to the programs that it needs.
#
#   tools/install.sh PYTHON VENV run|dev
#
# Says first what it will do; does nothing, quickly, when nothing changed. Python packages come
# from the hash locks alone, the build tools too. Debian packages are installed only by root,
# their daemons kept from starting now and at the next boot; anybody else is told the line.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
venv=$2
what=$3

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# -- Debian packages: one row each, with the file or command whose presence proves it ------------

packages=(
    "nftables:nft"
    "libnftables1:libnftables.so.1"
    "iproute2:ip"
    "conntrack:conntrack"
    "openssh-server:sshd"
    "openssh-client:ssh"
    "procps:ps"
    "uidmap:newuidmap"
    "util-linux:unshare"
)

# What only tests ask for: clocks set wrong, unit files verified, a browser that trusts a CA of ours,
# rules of other programs, a cluster of PostgreSQL and a pooler, what reads metrics, proxies that end TLS.
dev_packages=(
    "caddy:caddy"
    "chromium-headless-shell:chromium-headless-shell"
    "faketime:faketime"
    "haproxy:haproxy"
    "iptables:iptables"
    "libnss3-tools:certutil"
    "nginx:nginx"
    "pgbouncer:pgbouncer"
    "postgresql:pg_ctlcluster"
    "prometheus:promtool"
    "systemd:systemd-analyze"
)

is_present() {
    case $1 in
    lib*.so.*) ldconfig -p 2>/dev/null | grep -qF "$1" || PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -qF "$1" ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
    esac
}

missing_packages() {
    local row
    for row in "$@"; do
        is_present "${row#*:}" || printf '%s\n' "${row%%:*}"
    done
}

units_of() { # the units that Debian enables when it installs the package
    case $1 in
    openssh-server) say ssh.service ssh.socket ;;
    nftables) say nftables.service ;;
    pgbouncer) say pgbouncer.service ;;
    postgresql) say postgresql.service ;;
    prometheus) say prometheus.service ;;
    caddy | haproxy | nginx) say "$1.service" ;;
    esac
}

policy=/usr/sbin/policy-rc.d
policy_aside=$policy.before-bascule

allow_daemons() { # put the host's own policy back, or have none as before
    rm -f "$policy"
    [ ! -e "$policy_aside" ] || mv "$policy_aside" "$policy"
}

forbid_daemons() {
    # After a run that was killed, the file in place is ours and the one aside the host's own.
    if grep -qs '^# bascule:' "$policy"; then rm -f "$policy"; fi
    if [ -e "$policy" ] && [ ! -e "$policy_aside" ]; then mv "$policy" "$policy_aside"; fi
    trap allow_daemons EXIT
    printf '#!/bin/sh\n# bascule: nothing is started while its packages are installed\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

install_packages() {
    local packages=("$@") package unit
    if ! command -v apt-get >/dev/null; then
        fail "These programs are missing: ${packages[*]} (Debian's names). Install them and run make again."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        fail "These Debian packages are missing. Install them, then run make again:

    sudo apt-get install --no-install-recommends ${packages[*]}"
    fi
    say "Installing Debian packages: ${packages[*]} (their daemons are not started)"
    forbid_daemons
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update >/dev/null || say "apt-get update failed; trying with the lists that are here"
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
    for package in "${packages[@]}"; do
        for unit in $(units_of "$package"); do
            systemctl disable --quiet "$unit" 2>/dev/null || true
        done
    done
    allow_daemons
    trap - EXIT
}

# -- the virtual environment --------------------------------------------------------------------

check_python() {
    command -v "$python" >/dev/null ||
        fail "There is no $python. Install Python 3.11 or newer (Debian: apt-get install python3), or say make PYTHON=/path/to/python3."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is $("$python" --version); Bascule needs 3.11 or newer. Say make PYTHON=/path/to/a/newer/python3."
}

has_ensurepip() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

uv_or_nothing() {
    if command -v uv >/dev/null; then
        command -v uv
    elif [ -x .boot/bin/uv ]; then
        say .boot/bin/uv
    fi
}

fetch_uv() {
    "$python" -m venv .boot &&
        .boot/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-boot.lock
}

lock=requirements.lock
[ "$what" = run ] || lock=requirements-dev.lock

fingerprint() {
    { "$python" -c 'import sys; print(sys.version, sys.base_prefix)' && cat "$lock" pyproject.toml && pwd; } | sha256sum | cut -c1-64
}

is_current() { # for this lock, or for the larger one that holds it
    [ -x "$venv/bin/bascule" ] && [ -f "$venv/.installed-$lock" ] &&
        [ "$(cat "$venv/.installed-$lock")" = "$(fingerprint)" ]
}

make_venv() {
    local uv
    uv=$(uv_or_nothing)
    say "Installing $(grep -cE '^[a-z]' "$lock") Python packages from $lock into $venv ($("$python" --version))"
    if [ -z "$uv" ]; then
        say "There is no uv on the PATH: fetching it into .boot"
        fetch_uv && uv=.boot/bin/uv || say "uv could not be fetched: going on with pip, which is slower"
    fi
    if ! "$venv/bin/python" -c "import sys; sys.exit(sys.version_info[:2] != ($("$python" -c 'import sys; print(*sys.version_info[:2], sep=",")')))" 2>/dev/null; then
        rm -rf "$venv"
    fi
    if [ -n "$uv" ]; then
        [ -d "$venv" ] || "$uv" venv --quiet --python "$python" "$venv"
        "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock"
        "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
    else
        [ -d "$venv" ] || "$python" -m venv "$venv"
        local pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check install)
        "${pip[@]}" --require-hashes -r "$lock"
        "${pip[@]}" --no-deps --no-build-isolation -e .
    fi
    fingerprint >"$venv/.installed-$lock"
}

# -- what tests talk to and with, or look with ------------------------------------------------------

# One row each: the folder, the Node.js that it needs, what it is.
node_folders=(
    "tests/e2e/portal/axe:18:axe-core"
    "tests/e2e/portal/cards:18:Microsoft's Adaptive Cards"
    "tests/wire/oidc_provider:18:an OpenID provider"
    "tests/wire/sdk/javascript:20:Azure's SDK for JavaScript"
)

is_node_current() { # FOLDER
    [ "$(cat "$1/node_modules/.installed" 2>/dev/null)" = "$(sha256sum <"$1/package-lock.json")" ]
}

make_node_modules() { # FOLDER NODE WHAT: without that Node.js its tests are told as not run
    if ! command -v node >/dev/null || ! command -v npm >/dev/null || ! node -e "process.exit(Number(process.versions.node.split('.')[0] < $2))"; then
        say "There is no Node.js $2 with npm: tests with $3 will not be run"
        return
    fi
    say "Installing $3 for tests into $1/node_modules"
    if (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); then
        sha256sum <"$1/package-lock.json" >"$1/node_modules/.installed"
    else
        say "It could not be fetched: tests with $3 will not be run"
    fi
}

see_to_node_modules() {
    local row folder node name
    for row in "${node_folders[@]}"; do
        IFS=: read -r folder node name <<<"$row"
        is_node_current "$folder" || make_node_modules "$folder" "$node" "$name"
    done
}

is_fetched() { # FOLDER LOCK
    [ "$(cat "$1/.installed" 2>/dev/null)" = "$(sha256sum <"$2")" ]
}

# Other versions of azure-mgmt-security than the environment's, each in a folder of its own. What
# they need is in the environment already, so nothing but the package itself is fetched.
make_sdk_versions() {
    local wanted folder uv
    uv=$(uv_or_nothing)
    for wanted in tests/wire/sdk/requirements-security-*.txt; do
        folder=$(basename "$wanted" .txt)
        folder=$venv/sdk/${folder#requirements-}
        ! is_fetched "$folder" "$wanted" || continue
        say "Installing $(head -n 1 "$wanted" | cut -d' ' -f1) for tests into $folder"
        rm -rf "$folder"
        local install=("$venv/bin/python" -m pip --quiet --disable-pip-version-check install)
        [ -z "$uv" ] || install=("$uv" pip install --quiet --python "$venv/bin/python")
        if "${install[@]}" --no-deps --require-hashes --target "$folder" -r "$wanted"; then
            sha256sum <"$wanted" >"$folder/.installed"
        else
            say "It could not be fetched: tests with it will not be run"
        fi
    done
}

# The Azure CLI, in an environment of its own, because it pins other versions of what we use.
make_azure_cli() {
    local wanted=tests/wire/sdk/requirements-az.txt folder=$venv/az uv
    ! is_fetched "$folder" "$wanted" || return 0
    say "Installing the Azure CLI for tests into $folder (about 400 MB)"
    rm -rf "$folder"
    uv=$(uv_or_nothing)
    local made=("$python" -m venv "$folder")
    local install=("$folder/bin/python" -m pip --quiet --disable-pip-version-check install)
    if [ -n "$uv" ]; then
        made=("$uv" venv --quiet --python "$venv/bin/python" "$folder")
        install=("$uv" pip install --quiet --compile-bytecode --python "$folder/bin/python")
    fi
    if "${made[@]}" && "${install[@]}" --require-hashes -r "$wanted"; then
        sha256sum <"$wanted" >"$folder/.installed"
    else
        say "It could not be fetched: tests with it will not be run"
    fi
}

case $what in
run | dev) ;;
*) fail "usage: tools/install.sh PYTHON VENV run|dev" ;;
esac

if [ "$what" = dev ]; then packages+=("${dev_packages[@]}"); fi
check_python
mapfile -t missing < <(missing_packages "${packages[@]}")
if [ -z "$(uv_or_nothing)" ] && ! has_ensurepip; then
    missing+=("python3-venv")
fi
if [ "${#missing[@]}" -gt 0 ]; then install_packages "${missing[@]}"; fi
is_current || make_venv
if [ "$what" = dev ]; then
    see_to_node_modules
    make_sdk_versions
    make_azure_cli
fi
