#!/usr/bin/env bash
# Tests that run on SQLite in `make test`, on PostgreSQL. Those of the store itself name their database,
# and run there once. Arguments: the environment's bin folder; `first` (OAuth, requests and policies:
# `make test-all`) or `all` (`make postgresql`).
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$1
export PATH="$PWD/$bin:$PATH" BASCULE_TEST_DATABASE=postgresql

chosen=(tests/wire/test_oauth*.py tests/wire/test_access.py tests/wire/test_initiate.py
    tests/wire/test_policies.py tests/wire/test_rights_lost.py tests/unit/test_services_requests.py)
if [ "$2" = all ]; then
    no_store=(tests/wire/test_openapi.py tests/wire/test_azure_cli.py tests/wire/test_statements.py
        tests/wire/test_bad_input.py tests/unit/test_services_ocsf.py tests/unit/test_services_cef.py)
    chosen=("${no_store[@]/#/--ignore=}"
        tests/wire tests/portal tests/unit/test_services.py tests/unit/test_services_*.py)
fi
"$bin/python" -m pytest -q -n 2 --dist loadfile --max-worker-restart 0 -o cache_dir=.pytest_cache/postgresql "${chosen[@]}"
