#!/usr/bin/env bash
# What takes longer than the suite, in two lanes side by side. Run by `make test-all`, with the
# environment's bin folder as the only argument.
#
# The first lane waits much and minds the time: the long tests, then faults by chance. It is shown as
# it goes. The second lane computes, on what the first leaves of the processors: the tests on
# PostgreSQL, then the mutants. It is shown when the first has ended. Ctrl-C stops both.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=$1
log=.pytest_cache/second-lane.log
mkdir -p .pytest_cache
export BASCULE_NOT_RUN=$PWD/.pytest_cache/not-run-long.txt
rm -f "$BASCULE_NOT_RUN"
export PATH="$PWD/$bin:$PATH"

first() {
    trap 'exit 130' INT # pytest ends by a code of its own when it is interrupted
    local code=0
    tools/long.sh "$bin" || code=1
    "$bin/python" -m tests.faults --runs 20 --seed 21 || code=1
    return "$code"
}

second() {
    trap 'exit 130' INT
    local code=0
    nice -n 10 tools/postgresql.sh "$bin" first || code=1
    nice -n 10 "$bin/python" tools/mutants || code=1
    return "$code"
}

set -m # each lane is a process group of its own, which can be interrupted as a whole
one='' two=''
stop_lanes() {
    trap '' INT TERM HUP
    local lane
    for lane in $one $two; do
        kill -INT -- "-$lane" 2>/dev/null
        (sleep 120 && kill -KILL -- "-$lane") 2>/dev/null & # one that does not hear it
    done
    wait $one $two
    kill $(jobs -p) 2>/dev/null
    exit 130
}
trap stop_lanes INT TERM HUP

code=0
second </dev/null >"$log" 2>&1 &
two=$!
first </dev/null &
one=$!
echo "Beside this: PostgreSQL and mutants (as they go: $log)"
wait "$one" || code=1
echo
echo "== PostgreSQL and mutants =="
tail -n +1 -s 0.2 -f --pid="$two" "$log" &
wait "$!"
wait "$two" || code=1
if [ -s "$BASCULE_NOT_RUN" ]; then
    echo
    echo "Not run here:"
    sort -u "$BASCULE_NOT_RUN"
fi
exit "$code"
