#!/usr/bin/env bash
# Runs every libFuzzer target of $BUILD for FUZZ_SECONDS, as many at once as there are processors; `make fuzz` builds them.
# New inputs gather in $BUILD/corpus/X, what crashes or hangs in $BUILD/findings; the given corpus is only read.
#
#   BUILD=DIR FUZZ_SECONDS=N tests/fuzz/run.sh [X...]     X as in fuzz_X.c; all without
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build-fuzz}
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
mkdir -p "$BUILD/findings" "$BUILD/logs"
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
if [ $# -eq 0 ]; then
    mapfile -t all < <(printf '%s\n' tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
    set -- "${all[@]}"
fi
rm -f "$BUILD/failed"

fuzz() {
    local name=$1 log=$BUILD/logs/$1.log
    mkdir -p "$BUILD/corpus/$name"
    "$BUILD/tests/fuzz/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=3000 -max_len=65536 \
        -artifact_prefix="$BUILD/findings/$name-" -print_final_stats=1 "$BUILD/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1
    local status=$? runs
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" -eq 0 ]; then
        echo "ok    $name: ${runs:-?} runs, $(find "$BUILD/corpus/$name" -type f | wc -l) inputs kept"
    else
        echo "FAIL  $name: status $status, see $log"
        grep -aE 'ERROR|runtime error|SUMMARY|Test unit written' "$log" | head -n 5
        touch "$BUILD/failed"
    fi
}

for name in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
        wait -n
    done
    fuzz "$name" &
done
wait
[ ! -e "$BUILD/failed" ] || exit 1
echo "$# targets, $FUZZ_SECONDS s each, nothing found"
