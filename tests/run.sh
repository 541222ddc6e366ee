#!/usr/bin/env bash
# Runs the tests from the repository root and counts them; `make test` builds them first.
#
#   BUILD=DIR tests/run.sh [WORD...]     only tests whose name holds one of the words (text/test_tokenizer, fuzz_json ...)
#
# Three kinds: cmocka programs ($BUILD/tests/AREA/test_X of tests/AREA/test_X.c), each of whose cases counts; executable
# scripts tests/AREA/test_X.sh, which print `ok NAME`, `not ok NAME` or `skip NAME: REASON`, a line per case; fuzz targets,
# which replay tests/fuzz/corpus/X and count once. A cmocka case that skips prints a line `skip: REASON` first.
# A program that crashes, ends without all its results, fails without naming a case or takes longer than TEST_TIMEOUT
# seconds counts as failed. Each test has its own empty TMPDIR and HOME; scripts find the programs under $BUILD.
# The last line is `N passed, N failed, N skipped`.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
TEST_TIMEOUT=${TEST_TIMEOUT:-600}
jobs=${TEST_JOBS:-$(nproc)}
logs=$BUILD/test-logs
export BUILD CMOCKA_MESSAGE_OUTPUT=tap LC_ALL=C.UTF-8
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp}
unset EXAONE_MODEL CMOCKA_XML_FILE CMOCKA_TEST_FILTER MAKEFLAGS MFLAGS MAKELEVEL
rm -rf "$logs"
mkdir -p "$logs"

# wanted NAME WORD...: no word given or one of them is in the name
wanted() {
    local name=$1 word
    shift
    [ $# -eq 0 ] && return 0
    for word in "$@"; do
        [[ $name == *"$word"* ]] && return 0
    done
    return 1
}

# Lines "KIND NAME COMMAND..." of all tests.
list() {
    local source name
    for source in tests/*/test_*.c tests/*/test_*.sh tests/fuzz/fuzz_*.c; do
        [ -e "$source" ] || continue
        name=${source#tests/}
        name=${name%.*}
        case $source in
        *.sh) echo "script $name $source" ;;
        tests/fuzz/*) echo "fuzz $name $BUILD/tests/$name tests/fuzz/corpus/${name#fuzz/fuzz_}" ;;
        *) echo "cmocka $name $BUILD/tests/$name" ;;
        esac
    done
}

# count KIND NAME STATUS < OUTPUT: result lines "pass|fail|skip<TAB>case<TAB>reason" of one test
count() {
    awk -v kind="$1" -v test="$2" -v status="$3" -v limit="$TEST_TIMEOUT" '
    function result(what, name, reason) { print what "\t" name "\t" reason; n[what]++ }
    function flush() { if (failing != "") result("fail", failing, why); failing = ""; why = "" }
    kind == "cmocka" && /^1\.\.[0-9]+$/ { flush(); planned += substr($0, 4); number = 1; next }
    kind == "cmocka" && number && match($0, "ok " number " (- |# SKIP )") {
        name = substr($0, RSTART + RLENGTH)
        skipped = substr($0, RSTART, RLENGTH) ~ /SKIP/
        bad = RSTART > 4 && substr($0, RSTART - 4, 4) == "not "
        flush()
        number++
        seen++
        if (skipped) result("skip", name, reason == "" ? "no reason given" : reason)
        else if (bad) failing = name
        else result("pass", name, "")
        reason = ""
        next
    }
    kind == "cmocka" && failing != "" && /^# / { why = why (why == "" ? "" : "; ") substr($0, 3); next }
    kind == "cmocka" && /^skip: / { reason = substr($0, 7); next }
    kind == "script" && /^ok / { result("pass", substr($0, 4), ""); next }
    kind == "script" && /^not ok / { result("fail", substr($0, 8), ""); next }
    kind == "script" && /^skip / {
        at = index($0, ": ")
        result("skip", at ? substr($0, 6, at - 6) : substr($0, 6), at ? substr($0, at + 2) : "no reason given")
        next
    }
    END {
        flush()
        how = status == 124 || status == 137 ? "took longer than " limit " s" : \
              status > 128 ? "killed by signal " (status - 128) : "ended with status " status
        for (missing = planned - seen; missing > 0; missing--) result("fail", "(no result)", how)
        if (kind == "fuzz" && status == 0) result("pass", "corpus", "")
        else if (status != 0 && !n["fail"]) result("fail", "(whole program)", how)
        else if (!n["pass"] && !n["fail"] && !n["skip"]) result("fail", "(whole program)", "reported no case")
    }'
}

# run KIND NAME COMMAND...
run() {
    local kind=$1 name=$2 status started log temp
    shift 2
    log=$logs/${name//\//.}
    temp=$(mktemp -d)
    started=$(date +%s%N)
    mkdir "$temp/home"
    TMPDIR=$temp HOME=$temp/home timeout -k 5 "$TEST_TIMEOUT" "$@" >"$log.out" 2>&1 </dev/null
    status=$?
    rm -rf "$temp"
    count "$kind" "$name" "$status" <"$log.out" >"$log.result"
    awk -F '\t' -v name="$name" -v ms=$((($(date +%s%N) - started) / 1000000)) '
        { n[$1]++ }
        END {
            printf "%s  %s: %d passed", n["fail"] ? "FAIL" : "ok  ", name, n["pass"]
            if (n["fail"]) printf ", %d failed", n["fail"]
            if (n["skip"]) printf ", %d skipped", n["skip"]
            printf " (%.1f s)\n", ms / 1000
        }' "$log.result"
}

while read -r kind name command; do
    wanted "$name" "$@" || continue
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
        wait -n
    done
    # shellcheck disable=SC2086 # a command and its arguments
    run "$kind" "$name" $command &
done < <(list)
wait

for result in "$logs"/*.result; do
    [ -e "$result" ] || continue
    log=${result%.result}
    name=$(basename "$log")
    awk -F '\t' -v test="${name/./\/}" '$1 == "skip" { print "skip  " test " " $2 ": " $3 }' "$result"
done
for result in "$logs"/*.result; do
    grep -q '^fail' "$result" 2>/dev/null || continue
    log=${result%.result}
    name=$(basename "$log")
    awk -F '\t' -v test="${name/./\/}" '$1 == "fail" { print "FAIL  " test " " $2 ($3 == "" ? "" : ": " $3) }' "$result"
    echo "----- output of ${name/./\/} (the last 60 lines of $log.out)"
    tail -n 60 "$log.out"
    echo "-----"
done

cat "$logs"/*.result 2>/dev/null | awk -F '\t' -v file="$BUILD/test-summary" '
    { n[$1]++ }
    END {
        line = sprintf("%d passed, %d failed, %d skipped", n["pass"], n["fail"], n["skip"])
        print line > file
        print line
        exit n["fail"] > 0 || n["pass"] == 0
    }'
