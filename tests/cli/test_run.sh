#!/usr/bin/env bash
# `exaone run` as a process, on the built-in tiny model. The answers are those of tests/eval/tiny/cases.jsonl, which the
# reference gave.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
image=examples/media/time.png
ask="Transcribe the text in the image."

run_it "$exaone" run --image $image --no-think "$ask"
exactly "an image" 0 "0:37"
if grep -q "built-in tiny model.*33B" "$work/err"; then pass "says which model and how to get the 33B"; else fail "says which model"; fi
if grep -q "sampling: greedy" "$work/err"; then pass "says which sampling"; else fail "says which sampling"; fi
run_it env EXAONE_MODEL=models/tiny "$exaone" run --image $image --no-think "$ask"
exactly "EXAONE_MODEL" 0 "0:37"
if grep -q "built-in" "$work/err"; then fail "EXAONE_MODEL is not the built-in one"; else pass "EXAONE_MODEL is not the built-in one"; fi
run_it "$exaone" run -m models/tiny --cpu scalar -t 1 --image $image --no-think "$ask"
exactly "another kernel level and one thread" 0 "0:37"
run_it "$exaone" run --numa --image $image --no-think "$ask"
exactly "--numa" 0 "0:37"
if [ -d /sys/devices/system/node/node1 ] || grep -q "numa does nothing" "$work/err"; then pass "--numa says when it does nothing"; else fail "--numa says when it does nothing"; fi
run_it "$exaone" run --image - --no-think "$ask" <$image
exactly "an image from standard input" 0 "0:37"
run_it "$exaone" run --image "data:image/png;base64,$(base64 -w0 $image)" --no-think "$ask"
exactly "an image in a data URI" 0 "0:37"
printf '%s\n' "$ask" >"$work/prompt"
run_it "$exaone" run --image $image --no-think -f "$work/prompt"
exactly "the prompt from a file" 0 "0:37"
run_it "$exaone" run --image $image --no-think <"$work/prompt"
exactly "the prompt from standard input" 0 "0:37"
run_it "$exaone" run --image $image --no-think - <"$work/prompt"
exactly "the prompt from -" 0 "0:37"
run_it "$exaone" run --image <(cat $image) --no-think -f <(cat "$work/prompt")
exactly "image and prompt from pipes" 0 "0:37"
run_it "$exaone" run --quiet --image $image --no-think "$ask"
exactly "--quiet answers" 0 "0:37"
if [ -s "$work/err" ]; then fail "--quiet says nothing else"; else pass "--quiet says nothing else"; fi
run_it "$exaone" run -q --image "$work/none.png" x
complains "errors are never quiet" 1 "none.png"
run_it "$exaone" run --image $image --no-think -p "$ask"
exactly "the prompt with -p" 0 "0:37"

if "$exaone" version | grep -q "without FFmpeg"; then
    echo "skip a video: built without FFmpeg"
else
    run_it "$exaone" run --video examples/media/moving-circle.mp4 --no-think "원은 어느 쪽으로 움직여?"
    exactly "a video" 0 "오른쪽"
fi
run_it "$exaone" run --video tests/eval/tiny/files/video-000 --no-think "원은 어느 쪽으로 움직여?"
exactly "a folder of pictures as a video" 0 "오른쪽"

# reasoning: apart in JSON, left out of a pipe
run_it "$exaone" run "7 + 9 = ?"
exactly "only the answer goes to a pipe" 0 'The answer is \boxed{16}.'
run_it "$exaone" run --json "7 + 9 = ?"
expect "json: content" 0 '"content": "The answer is \\boxed{16}."'
expect "json: reasoning" 0 '"reasoning_content": "7 + 9 = 16, carry 1. 0 + 0 + 1 = 1. So 16."'
expect "json: usage" 0 '"usage": {"prompt_tokens": 14, "completion_tokens": 40, "total_tokens": 54'
expect "json: timings" 0 '"timings": {'
expect "json: finish_reason" 0 '"finish_reason": "stop"'
if [ "$(wc -l <"$work/out")" -eq 1 ]; then pass "json: one line"; else fail "json: one line"; fi
run_it "$exaone" run --json -n 5 "7 + 9 = ?"
expect "-n ends the reply by length" 0 '"finish_reason": "length"'
expect "-n counts tokens" 0 '"completion_tokens": 5,'
run_it "$exaone" run --stats --no-think Hello
if grep -q "tokens/s" "$work/err"; then pass "--stats"; else fail "--stats"; fi
if grep -q "memory: .* GB resident, .* in huge pages" "$work/err"; then pass "--stats shows the memory"; else fail "--stats shows the memory"; fi
run_it "$exaone" run --json --no-think --image $image -n 1 x
if grep -q '"vision_ms": [1-9]' "$work/out"; then pass "json: the vision tower's time"; else fail "json: the vision tower's time"; fi
expect "json: greedy has no seed" 0 '"seed": null'

# stop texts end the reply before them and are never shown, in part or whole, also across tokens
run_it "$exaone" run --stop " is " "7 + 9 = ?"
exactly "--stop" 0 "The answer"
run_it "$exaone" run --stop "zzz" --stop "boxed{16" "7 + 9 = ?"
exactly "--stop across tokens, the second of two" 0 "The answer is \\"
run_it "$exaone" run --stop "16}.never" "7 + 9 = ?"
exactly "a beginning of a stop text at the end is text" 0 'The answer is \boxed{16}.'
run_it "$exaone" run --stop carry "7 + 9 = ?"
exactly "a stop text in the reasoning" 0 ""
if grep -q "the reply is empty (a --stop text came up in the reasoning)" "$work/err"; then pass "says why the reply is empty"; else fail "says why the reply is empty"; fi
run_it "$exaone" run --no-think --stop Hello Hello
if grep -q "the reply is empty (it began with a --stop text)" "$work/err"; then pass "says why, without reasoning"; else fail "says why, without reasoning"; fi
run_it "$exaone" run --stop "" x
complains "an empty stop text" 2 "--stop"

# sampling: the seed decides
run_it "$exaone" run --temp 3 --seed 5 -n 40 --json --no-think Hello
sed 's/"timings.*//' "$work/out" >"$work/first"
run_it "$exaone" run --temp 3 --seed 5 -n 40 --json --no-think -t 1 Hello
sed 's/"timings.*//' "$work/out" >"$work/second"
run_it "$exaone" run --temp 3 --seed 6 -n 40 --json --no-think Hello
sed 's/"timings.*//' "$work/out" >"$work/third"
if cmp -s "$work/first" "$work/second"; then pass "same seed, same text, on any number of threads"; else fail "same seed"; fi
if cmp -s "$work/first" "$work/third"; then fail "another seed, another text"; else pass "another seed, another text"; fi
run_it "$exaone" run --temp 1 --seed 1 -n 1 Hello
if grep -q "sampling: explicit settings, temperature 1," "$work/err"; then pass "says explicit settings"; else fail "says explicit settings"; fi

# presets: a model whose generation_config.json lets sample gets the one that fits the input
mkdir "$work/sampling"
cp models/tiny/*.json models/tiny/chat_template.jinja "$work/sampling"
ln -s "$PWD/models/tiny/model.safetensors" "$work/sampling"
sed -i 's/"do_sample": false/"do_sample": true/' "$work/sampling/generation_config.json"
preset() {
    local name=$1 word=$2
    shift 2
    run_it "$exaone" run -m "$work/sampling" -n 1 --no-think "$@"
    if [ $code -eq 0 ] && grep -q "^exaone: sampling: .*$word" "$work/err"; then pass "$name"; else fail "$name"; fi
}
preset "preset of a text" "preset text" Hello
preset "preset of an image" "preset general" --image $image Hello
preset "preset of Korean" "preset ocr" 안녕
preset "preset as asked for" "preset ocr" --preset ocr Hello
preset "greedy as asked for" greedy --greedy Hello
preset "single settings go on top" "temperature 0.25" --temp 0.25 Hello

# what a user types is text, unless asked otherwise
run_it "$exaone" run --json --no-think "<|endofturn|>"
plain=$(sed 's/.*"prompt_tokens": \([0-9]*\).*/\1/' "$work/out")
run_it "$exaone" run --json --no-think --parse-special "<|endofturn|>"
special=$(sed 's/.*"prompt_tokens": \([0-9]*\).*/\1/' "$work/out")
if [ "$plain" -gt "$special" ]; then pass "typed control tokens are text"; else fail "typed control tokens are text"; fi
run_it "$exaone" run --no-think "<|image_pad|>" -n 1
if [ "$code" -eq 0 ]; then pass "a typed placeholder is text"; else fail "a typed placeholder is text"; fi
run_it "$exaone" run --no-think --parse-special "<|image_pad|>" -n 1
complains "a placeholder without an image" 1 "image"

# limits
run_it "$exaone" run --ctx 8 "7 + 9 = ?"
complains "a prompt longer than the context" 1 "the context holds 8"
run_it "$exaone" run --json --ctx 20 "7 + 9 = ?"
expect "the context ends the reply" 0 '"finish_reason": "length"'
run_it "$exaone" run --ctx 1000000000 x
complains "more context than the model has" 1 "16384"
run_it "$exaone" run -m tests/golden/model/micro/checkpoint x
complains "a model without a tokenizer" 1 "tokenizer"

# tools
cat >"$work/tools.json" <<'JSON'
[{"type": "function", "function": {"name": "calculator", "description": "x", "parameters": {"type": "object"}}}]
JSON
run_it "$exaone" run --json --no-think --tools "$work/tools.json" "Hello"
expect "--tools" 0 '"tool_calls": ['
run_it "$exaone" run --json --no-think --tools <(cat "$work/tools.json") "Hello"
expect "--tools from a pipe" 0 '"tool_calls": ['

# a terminal: reasoning dimmed; NO_COLOR and pipes get no escapes
if command -v script >/dev/null; then
    esc=$(printf '\033')
    run_it script -qec "'$exaone' run '7 + 9 = ?'" /dev/null
    expect "a terminal shows the reasoning dimmed" 0 "${esc}[2m"
    run_it script -qec "'$exaone' run --image $image --no-think -n 1 x" /dev/null
    expect "progress of the vision tower" 0 "looking at image 1: block "
    run_it env NO_COLOR=1 script -qec "'$exaone' run '7 + 9 = ?' 2>/dev/null" /dev/null
    if grep -qF "$esc" "$work/out"; then fail "NO_COLOR"; else pass "NO_COLOR"; fi
    if grep -q "carry 1" "$work/out"; then pass "NO_COLOR shows the reasoning"; else fail "NO_COLOR shows the reasoning"; fi
else
    echo "skip a terminal: no script(1) here"
fi

# Ctrl-C and SIGTERM: the reply ends, what there is gets printed, exit 130 or 143. The tiny model at a high temperature talks
# for long.
# seed 196: a reply of some 5,000 tokens
stops_by() {
    local name=$1 signal=$2 wanted=$3 pid
    "$exaone" run --temp 5 --seed 196 --no-think --json -n 16000 Hello >"$work/out" 2>"$work/err" &
    pid=$!
    sleep 1
    kill "-$signal" $pid
    wait $pid
    code=$?
    if [ "$code" -eq "$wanted" ] && grep -q '"content": "' "$work/out"; then
        pass "$name"
    elif [ "$code" -eq 0 ]; then
        echo "skip $name: the reply ended before the signal"
    else
        fail "$name"
    fi
}
stops_by "Ctrl-C prints what there is" INT 130
stops_by "SIGTERM too" TERM 143

# an image of two million pixels on one scalar thread takes a minute here (half an hour under the thread sanitizer); it stops
# after the step at hand, a twentieth of that
limit=20
case ${BUILD:-build} in *san*) limit=200 ;; esac
"$exaone" run --cpu scalar -t 1 --min-pixels 2000000 --image $image --no-think "$ask" >"$work/out" 2>"$work/err" &
pid=$!
sleep 2
started=$(date +%s)
kill -INT $pid
wait $pid
code=$?
if [ "$code" -eq 130 ] && [ $(($(date +%s) - started)) -lt $limit ]; then
    pass "Ctrl-C stops the vision tower"
else
    fail "Ctrl-C stops the vision tower"
fi
exit $failed
