#!/usr/bin/env bash
# The whole suite in three streams at once. Run by `make test`, with the environment's bin folder
# as the only argument.
#
# Tests of whole processes and of the real kernel mostly wait, and each of their folders runs one
# by one; what computes runs two at a time meanwhile. The first stream is shown as it goes, the
# others when they have ended.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=$1
logs=.pytest_cache/streams
mkdir -p "$logs"
export BASCULE_NOT_RUN=$PWD/.pytest_cache/not-run.txt
rm -f "$BASCULE_NOT_RUN"
export PATH="$PWD/$bin:$PATH"

waiting=()
for folder in tests/*/; do
    case $folder in
    tests/netns/ | tests/e2e/ | tests/faults/) ;;
    */__pycache__/) ;;
    *) waiting+=("$folder") ;;
    esac
done

stop_streams() { # Ctrl-C reaches the streams too: they are of our process group
    wait
    exit 130
}
trap stop_streams INT TERM

code=0
# A shell makes what it starts in the background deaf to Ctrl-C (bash(1), SIGNALS); tests send it.
apart=(env --default-signal=INT "$bin/python" -m pytest)
"${apart[@]}" tests/e2e >"$logs/e2e.log" 2>&1 &
e2e=$!
"${apart[@]}" tests/faults tests/netns >"$logs/faults-netns.log" 2>&1 &
faults=$!
echo "Beside this: tests/e2e, tests/faults and tests/netns (as they go: $logs/*.log)"
"$bin/python" -m pytest -n 2 --dist loadfile "${waiting[@]}" || code=1

for stream in "faults-netns $faults" "e2e $e2e"; do
    read -r name pid <<<"$stream"
    wait "$pid" || code=1
    echo
    echo "== $name =="
    cat "$logs/$name.log"
done

echo
if [ -s "$BASCULE_NOT_RUN" ]; then
    echo "Not run here:"
    sort -u "$BASCULE_NOT_RUN"
else
    echo "Everything was run."
fi
exit $code
