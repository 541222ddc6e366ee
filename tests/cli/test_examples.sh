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
run_it "$build/chat" models/tiny "2 + 3 = ?" "7 + 9 = ?"
exactly "chat: both answers, the second turn reuses the first" 0 "16 tokens, 0 of them known: 5
35 tokens, 17 of them known: 16"
run_it "$build/tools"
expect "tools: the prompt offers the function" 0 '"name": "add"'
expect "tools: the call is found" 0 'call: add({"a": 2, "b": 3})'
expect "tools: the text beside it" 0 "content: I will add them."
run_it "$build/vision" models/tiny examples/media/time.png
expect "vision" 0 "10 tokens of 256 numbers"
run_it "$build/loss" models/tiny "2 + 3 = 5"
expect "loss" 0 "loss 2.2689, perplexity 9.6686"
run_it "$build/processor" models/tiny examples/media/time.png "What time is it?"
expect "processor: ids" 0 "input_ids [1, 26], 10 of them for the picture"
expect "processor: pixels" 0 "pixel_values [40, 1176]"
expect "processor: grid" 0 "image_grid_thw [1, 3]: 1 4 10"
run_it "$build/ask_video" models/tiny examples/media/moving-circle.mp4 "Which way does the circle move?"
if grep -q "without" "$work/err"; then echo "skip ask_video: built without video"; else expect "ask_video" 0 "right"; fi
run_it "$build/streams" models/tiny "2 + 3 = ?" "7 + 9 = ?" "7 + 8 = ?"
exactly "streams: three questions at once" 0 "2 + 3 = ? -> 5 (2 tokens)
7 + 9 = ? -> 16 (3 tokens)
7 + 8 = ? -> 15 (3 tokens)"
for example in tokenize forward ask_text ask_image ask_video chat vision loss processor streams; do
    run_it "$build/$example" "$work/none"
    if [ "$code" -eq 1 ] && grep -qF "$work/none" "$work/err"; then pass "$example names a missing model"; else fail "$example names a missing model"; fi
done
exit $failed
