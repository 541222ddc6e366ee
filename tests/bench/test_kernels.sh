#!/usr/bin/env bash
# Every kernel of every level of this machine against its definition (bench/kernels.c): each check counts, and its lines are
# those that tests/run.sh reads.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${BUILD:-build}/bench/kernels
"$program" --check || exit 1

# expect STATUS ARGUMENT...
expect() {
    local want=$1 status
    shift
    "$program" "$@" >/dev/null 2>&1
    status=$?
    if [ "$status" -eq "$want" ]; then echo "ok kernels $*"; else echo "not ok kernels $*: exit status $status"; fi
}

expect 0 --time --only rms_norm --seconds 0.001
expect 2 --level avx9
expect 2 --only matmul_f33
expect 2 --seconds 0
if "$program" --json --only rms_norm --seconds 0.001 | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["checks"] and all(c["ok"] and c["cases"] for c in r["checks"])
assert len(r["times"]) == len(r["checks"]) and all(t["bytes_per_second"] > 0 for t in r["times"])
'; then echo "ok kernels --json"; else echo "not ok kernels --json"; fi
