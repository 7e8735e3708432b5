#!/usr/bin/env bash
# The tests marked `long`, which `make test` leaves out, one after the other. Run by `make test-all`;
# the argument is the environment's bin folder.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/$1:$PATH"
mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.long' tests | sort)
exec env --default-signal=INT "$1/python" -m pytest -q -m long -o cache_dir=.pytest_cache/long "${files[@]}"
