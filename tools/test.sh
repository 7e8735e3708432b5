#!/usr/bin/env bash
# The suite in five streams at once, without the tests marked `long` (tools/long.sh has those). Run by
# `make test`, with the environment's bin folder as the only argument.
#
# Tests of whole processes and of the real kernel wait much and mind the time; each of their
# folders runs one by one. What computes runs two files at a time meanwhile, on what they leave of
# the processors, the longest files first. What computes is shown as it goes, the others when
# they have ended.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=$1
logs=.pytest_cache/streams
mkdir -p "$logs"
export BASCULE_NOT_RUN=$PWD/.pytest_cache/not-run.txt
rm -f "$BASCULE_NOT_RUN"
export PATH="$PWD/$bin:$PATH"

# Compiled once, before the streams start servers and agents that would each compile all of it.
unset PYTHONDONTWRITEBYTECODE
"$bin/python" -m compileall -q -j 2 src
"$bin/python" -c 'import bascule.portal, bascule.api.app, bascule.bootstrap.serve, bascule.store.open
import bascule.agent.run, bascule.cli.main, bascule.lab.seed, bascule.lab.supervisor
import hypothesis, playwright.sync_api'

computing=(tests/powershell/ tests/wire/test_openapi.py tests/wire/ tests/properties/)
for folder in tests/*/; do
    case $folder in
    tests/netns/ | tests/e2e/ | tests/faults/ | */__pycache__/) ;;
    tests/powershell/ | tests/wire/ | tests/properties/) ;;
    *) computing+=("$folder") ;;
    esac
done

portal=tests/e2e/portal # in a browser, for half of the time of all of tests/e2e
packets=tests/contracts/test_driver.py # the kernel's and by the clock, though of another folder
# One server and one agent a test (tests/e2e/small_world.py): these mostly wait for time to pass.
worlds=(tests/faults/test_when_something_dies.py tests/e2e/test_time_left.py
    tests/e2e/test_gateway.py tests/e2e/test_public_ports.py tests/e2e/test_owner_edges.py)
elsewhere=("${worlds[@]/#/--ignore=}") # in the streams of their folders

stop_streams() { # Ctrl-C reaches the streams too: they are of our process group
    wait
    exit 130
}
trap stop_streams INT TERM

least=0 # how far a stream steps back before the others: nice(1)

# A shell makes what it starts in the background deaf to Ctrl-C (bash(1), SIGNALS); tests send it.
stream() { # NAME PYTEST-ARGUMENTS
    local cache=(-o "cache_dir=.pytest_cache/$1")
    env --default-signal=INT nice -n "$least" \
        "$bin/python" -m pytest -m "not long" "${cache[@]}" "${@:2}"
}

# Failed tests are tried once more now that nothing else runs; said, never hidden. Not those of
# packets, faults and small worlds, nor of any stream with a failed test of leaks (its exit code is
# 16): a door that was open once was open. Nor a stream that broke off (2: at collecting; 137: out
# of memory).
alone() { # NAME EXIT-CODE FOLDERS
    [ "$2" = 1 ] || return 1
    echo
    echo "== $1: what failed, once more and alone (a test that passes only now leans on speed) =="
    stream "$1" --last-failed --last-failed-no-failures none "${@:3}"
}

code=0
stream e2e tests/e2e --ignore "$portal" "${elsewhere[@]}" >"$logs/e2e.log" 2>&1 &
e2e=$!
stream portal "$portal" >"$logs/portal.log" 2>&1 &
browser=$!
stream faults-netns "$packets" tests/faults tests/netns "${elsewhere[@]}" \
    >"$logs/faults-netns.log" 2>&1 &
faults=$!
stream worlds "${worlds[@]}" >"$logs/worlds.log" 2>&1 &
worlds_pid=$!
echo "Beside this: tests/e2e, tests/faults and tests/netns (as they go: $logs/*.log)"
failed=()
least=10
# A worker that dies ends the stream: started again, pytest-xdist would wait for its file for ever.
stream computing -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
    --ignore "$packets" "${computing[@]}" || failed+=("computing $?")
least=0

for row in "portal $browser" "e2e $e2e" "worlds $worlds_pid" "faults-netns $faults"; do
    read -r name pid <<<"$row"
    wait "$pid" || failed+=("$name $?")
    echo
    echo "== $name =="
    cat "$logs/$name.log"
done

for row in "${failed[@]}"; do
    read -r name ended <<<"$row"
    case $name in
    computing) alone "$name" "$ended" --ignore "$packets" "${computing[@]}" || code=1 ;;
    e2e) alone "$name" "$ended" tests/e2e --ignore "$portal" "${elsewhere[@]}" || code=1 ;;
    portal) alone "$name" "$ended" "$portal" || code=1 ;;
    *) code=1 ;;
    esac
done

echo
if [ -s "$BASCULE_NOT_RUN" ]; then
    echo "Not run here:"
    sort -u "$BASCULE_NOT_RUN"
else
    echo "Everything was run."
fi
exit $code
