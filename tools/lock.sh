#!/usr/bin/env bash
# Resolve the lock files again: exact versions and hashes for every Python and platform
# that we support, naming no host. Run by `make lock`, with uv as the first argument.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$1
shift # what is left goes to uv, e.g. --upgrade
options=(--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet)

"$uv" pip compile pyproject.toml --group build "${options[@]}" "$@" -o requirements.lock
"$uv" pip compile pyproject.toml --group dev -c requirements.lock "${options[@]}" "$@" \
    -o requirements-dev.lock
"$uv" pip compile --group boot "${options[@]}" "$@" -o requirements-boot.lock

# Versions of Azure's SDK that tests run beside the environment's; the rest is in its lock.
sdk=tests/wire/sdk
for version in 6.0.0 8.0.0b2; do
    "$uv" pip compile - --no-deps --no-annotate "${options[@]}" \
        -o "$sdk/requirements-security-${version%%.*}.txt" <<<"azure-mgmt-security==$version"
done

"$uv" pip compile - --no-annotate "${options[@]}" "$@" -o "$sdk/requirements-az.txt" <<<"azure-cli==2.91.0"

if grep -nE '://' requirements*.lock "$sdk"/requirements-*.txt; then
    echo "a lock file names a host: see the lines above" >&2
    exit 1
fi
