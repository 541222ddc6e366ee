#!/bin/sh
# Runs every check and says which failed: tools/check/all.sh [CHECK...]
cd "$(dirname "$0")/../.." || exit 1
failed=""
[ $# -gt 0 ] || set -- text sizes includes calls headers symbols links shell format cppcheck
for check in "$@"; do
    if output=$("tools/check/$check.sh" 2>&1); then
        echo "ok    $check"
        [ -z "$output" ] || echo "$output"
    else
        echo "FAIL  $check"
        echo "$output"
        failed="$failed $check"
    fi
done
[ -z "$failed" ] || echo "failed:$failed"
[ -z "$failed" ]
