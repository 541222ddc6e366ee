#!/usr/bin/env bash
# The example programs, built against the shared library, do what their first comment says.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
build=${BUILD:-build}/examples

run_it "$build/tokenize" models/tiny "2 + 3 는 5"
expect "tokenize" 0 "2 + 3 는 5"
run_it "$build/forward" models/tiny
if [ "$code" -eq 0 ] && [ -s "$work/out" ]; then pass "forward"; else fail "forward"; fi
run_it "$build/ask_text" models/tiny "2 + 3 = ?"
expect "ask_text" 0 "5"
run_it "$build/ask_image" models/tiny examples/media/time.png "Transcribe the text in the image."
expect "ask_image" 0 "0:37"
for example in tokenize forward ask_text ask_image; do
    run_it "$build/$example" "$work/none"
    if [ "$code" -eq 1 ] && grep -qF "$work/none" "$work/err"; then pass "$example names a missing model"; else fail "$example names a missing model"; fi
done
exit $failed
