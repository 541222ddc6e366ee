#!/usr/bin/env bash
# `exaone quantize` and `exaone convert` as processes.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
tiny=models/tiny
ask="7 + 9 = ?"
answer="The answer is \boxed{16}."

run_it "$exaone" convert $tiny "$work/Tiny-BF16.gguf"
expect "a folder becomes a pair" 0 "Tiny-BF16.gguf: 12.5 MB, 16.017 bits per weight"
expect "the mmproj file is said" 0 "mmproj-Tiny-BF16.gguf: "
run_it "$exaone" run --greedy -m "$work/Tiny-BF16.gguf" "$ask"
exactly "the pair answers as the folder does" 0 "$answer"
run_it "$exaone" run --greedy --no-think -m "$work/Tiny-BF16.gguf" --image examples/media/time.png "Transcribe the text in the image."
exactly "its vision tower is found and sees" 0 "0:37"

run_it "$exaone" quantize --type Q8_0 "$work/Tiny-BF16.gguf" "$work/Tiny-Q8_0.gguf"
expect "a GGUF file is quantised" 0 "8.526 bits per weight"
if grep -q "mmproj-Tiny-BF16.gguf is there already and is kept" "$work/err"; then pass "kept is said"; else fail "kept is said"; fi
run_it "$exaone" run --greedy -m "$work/Tiny-Q8_0.gguf" "$ask"
exactly "Q8_0 answers alike" 0 "$answer"
run_it "$exaone" inspect "$work/Tiny-Q8_0.gguf"
expect "inspect reads it" 0 "Q8_0"

run_it "$exaone" quantize --type Q4_0 --tensor-type "blk.[0-3].*=Q8_0" --tensor-type "output.weight=F16" --no-mmproj \
    $tiny "$work/mixed.gguf"
expect "single tensors" 0 "mixed.gguf"
run_it "$exaone" quantize --type F32 --mmproj-type Q8_0 --mmproj-out "$work/eyes.gguf" $tiny "$work/wide.gguf"
expect "the mmproj file by name and type" 0 "eyes.gguf"

run_it "$exaone" convert --split-size 4M --no-mmproj "$work/Tiny-BF16.gguf" "$work/piece.gguf"
expect "pieces" 0 "pieces"
first=$(echo "$work"/piece-00001-of-*.gguf)
expect "the first piece is named" 0 "$first: "
run_it "$exaone" convert --no-mmproj "$first" "$work/joined.gguf"
if [ "$code" -eq 0 ] && cmp -s "$work/joined.gguf" "$work/Tiny-BF16.gguf"; then pass "pieces join"; else fail "pieces join"; fi

run_it "$exaone" convert $tiny "$work/Tiny-BF16.gguf"
complains "a file that is there" 1 "is there already (12"
run_it "$exaone" convert --force "$work/Tiny-BF16.gguf" "$work/Tiny-BF16.gguf"
complains "over itself" 1 "is the source"
mkdir "$work/e"
run_it "$exaone" convert --mmproj-out "$work/e/../e/same.gguf" $tiny "$work/e/same.gguf"
complains "one name in two spellings" 1 "both the text file and the mmproj file"
if [ -z "$(ls -A "$work/e")" ]; then pass "nothing is left of it"; else fail "nothing is left of it"; fi
cp -r $tiny "$work/folder"
run_it "$exaone" convert --force "$work/folder" "$work/folder/config.json"
complains "over a file of the source" 1 "config.json is a file of the source"
cmp -s $tiny/config.json "$work/folder/config.json" || fail "the source is as it was"
mkdir -p "$work/hub/models--me--Tiny-GGUF/snapshots/$(printf %040d 1)" "$work/hub/models--me--Tiny-GGUF/refs"
printf %040d 1 >"$work/hub/models--me--Tiny-GGUF/refs/main"
cp "$work/Tiny-BF16.gguf" "$work/hub/models--me--Tiny-GGUF/snapshots/$(printf %040d 1)/Tiny-BF16.gguf"
HF_HUB_CACHE=$work/hub run_it "$exaone" quantize --type Q8_0 --no-mmproj me/Tiny-GGUF "$work/from-hub.gguf"
expect "a model of the cache by its name" 0 "8.526 bits per weight"
HF_HUB_CACHE=$work/hub run_it "$exaone" convert me/None-GGUF "$work/none.gguf"
complains "a name that the cache has not" 1 "me/None-GGUF"

run_it "$exaone" quantize $tiny "$work/a.gguf"
complains "no type" 2 "--type is needed"
run_it "$exaone" quantize --type Q4_K_L $tiny "$work/a.gguf"
complains "an unknown type" 1 "Q4_K_L"
run_it "$exaone" quantize --type Q8_0 $tiny
complains "one word" 2 "want a source and a target"
run_it "$exaone" quantize --type Q8_0 --tensor-type nothing $tiny "$work/a.gguf"
complains "a pattern without a type" 2 "PATTERN=TYPE"
run_it "$exaone" quantize --type Q8_0 --tensor-type "nothing*=Q8_0" $tiny "$work/a.gguf"
complains "a pattern that matches nothing" 1 "nothing* matches no tensor"
for size in 0 -5 4X 4GB G 99999999999999999999 20000000000T; do
    run_it "$exaone" convert --split-size $size $tiny "$work/a.gguf"
    complains "--split-size $size" 2 "want a number of bytes"
done
run_it "$exaone" convert --no-mmproj --mmproj-out x $tiny "$work/a.gguf"
complains "both about the mmproj file" 2 "contradict"
run_it "$exaone" convert "$work/none" "$work/a.gguf"
complains "no source" 1 "none"

# The number of matrices said is that of the file, without those that saw nothing.
echo "The answer to every question is written here." >"$work/text"
run_it "$exaone" imatrix -m $tiny --text "$work/text" --ctx 8 -o "$work/matrix.gguf"
said=$(sed 's/.*: //' "$work/out")
run_it "$exaone" imatrix --in-file "$work/matrix.gguf" -o "$work/again.gguf"
exactly "matrices of a file" 0 "$work/again.gguf: $said"
run_it "$exaone" quantize --type IQ4_XS --no-mmproj --imatrix "$work/matrix.gguf" $tiny "$work/weighed.gguf"
expect "a matrix of the model" 0 "weighed.gguf"

# A signal: exit code 128 + number, and neither the file nor a temporary one.
mkdir "$work/stop"
# stopped SIGNAL CODE
stopped() {
    "$exaone" quantize --type Q2_K -t 1 $tiny "$work/stop/a.gguf" >"$work/out" 2>"$work/err" &
    pid=$!
    for _ in $(seq 200); do
        if compgen -G "$work/stop/*.tmp.*" >/dev/null; then break; fi
        sleep 0.01
    done
    kill "-$1" $pid
    wait $pid
    code=$?
    if [ $code -eq "$2" ] && grep -q "nothing was written" "$work/err" && [ -z "$(ls -A "$work/stop")" ]; then
        pass "stopped by $1"
    else
        fail "stopped by $1"
    fi
}
stopped INT 130
stopped TERM 143
stopped HUP 129

# Progress fits the terminal, and a dumb one gets none.
# on_terminal TERM: the run's output on a terminal of 40 columns, in $work/screen
on_terminal() {
    rm -f "$work/t.gguf"
    TERM=$1 script -qec "stty cols 40; '$exaone' convert --no-mmproj -t 1 $tiny '$work/t.gguf' >'$work/out'" /dev/null \
        </dev/null >"$work/screen" 2>"$work/err"
    code=$?
}
on_terminal xterm
longest=$(tr '\r' '\n' <"$work/screen" | sed -n 's/^.\[K//p' | grep '^\[' | awk '{ if (length > n) n = length } END { print n + 0 }')
if [ "$longest" -gt 20 ] && [ "$longest" -le 39 ]; then pass "progress fits"; else fail "progress fits ($longest)"; fi
on_terminal dumb
if [ $code -eq 0 ] && ! grep -q '%' "$work/screen"; then pass "no progress on a dumb terminal"; else fail "dumb terminal"; fi

# The reader of a pipe goes: a message, no death by signal, which would leave the temporary of the other file.
mkfifo "$work/pipe"
head -c 100 "$work/pipe" >/dev/null &
run_it "$exaone" convert --force --no-mmproj $tiny "$work/pipe"
complains "a reader that goes" 1 "Broken pipe"
wait

# A limit of file sizes is a write error, not the end of the process.
mkdir "$work/limit"
run_it bash -c 'ulimit -f 200; exec "$@"' - "$exaone" convert $tiny "$work/limit/a.gguf"
complains "a file beyond the limit" 1 "File too large"
if [ -z "$(ls -A "$work/limit")" ]; then pass "no temporary is left"; else fail "no temporary is left"; fi
exit $failed
