#!/usr/bin/env bash
# The tests marked `long`, which `make test` leaves out, one after the other. Run by `make test-all`;
# the argument is the environment's bin folder.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/$1:$PATH" BASCULE_NOT_RUN=$PWD/.pytest_cache/not-run-long.txt
mkdir -p .pytest_cache
rm -f "$BASCULE_NOT_RUN"
mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.long' tests | sort)
code=0
env --default-signal=INT "$1/python" -m pytest -q -m long -o cache_dir=.pytest_cache/long "${files[@]}" || code=1
if [ -s "$BASCULE_NOT_RUN" ]; then
    echo "Not run here:"
    sort -u "$BASCULE_NOT_RUN"
fi
exit "$code"
