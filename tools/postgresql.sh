#!/usr/bin/env bash
# Tests that run on SQLite and on PostgreSQL: `make test` runs `first` on both (test.sh reads the
# list here), `make test-all` runs the others (this script, with the environment's bin folder).
# Those of the store itself name their database, and run once.

on_postgresql_first=(tests/wire/test_oauth*.py tests/wire/test_access.py tests/wire/test_initiate.py
    tests/wire/test_policies.py tests/wire/test_rights_lost.py tests/unit/test_services_requests.py)

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

set -uo pipefail
cd "$(dirname "$0")/.."
bin=$1
export PATH="$PWD/$bin:$PATH" BASCULE_TEST_DATABASE=postgresql
no_store=(tests/wire/test_openapi.py tests/wire/test_azure_cli.py tests/wire/test_statements.py
    tests/wire/test_bad_input.py tests/unit/test_services_ocsf.py tests/unit/test_services_cef.py)
"$bin/python" -m pytest -q -n 2 --dist loadfile -o cache_dir=.pytest_cache/postgresql-others \
    "${on_postgresql_first[@]/#/--ignore=}" "${no_store[@]/#/--ignore=}" \
    tests/wire tests/portal tests/unit/test_services.py tests/unit/test_services_*.py
