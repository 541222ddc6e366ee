#!/usr/bin/env bash
# The same prompt gives the same text, and the same logits bit for bit, with any number of threads: BF16 and quantised weights,
# both precisions.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# every twentieth case: some of each task, with images and videos
touch "$work/out" "$work/err"
code=0
awk 'NR % 20 == 1' tests/eval/tiny/cases.jsonl >"$work/cases.jsonl"
ln -s "$PWD/tests/eval/tiny/files" "$work/files"
for type in Q4_K_M Q8_0; do
    "$exaone" quantize -q --type "$type" models/tiny "$work/$type.gguf" --mmproj-out "$work/mmproj-$type-BF16.gguf" || fail "quantize $type"
done

# ids THREADS MODEL OPTION...: ids of the replies
ids() {
    local threads=$1 model=$2
    shift 2
    "$exaone" eval -q -m "$model" -t "$threads" "$@" --cases "$work/cases.jsonl" --json |
        python3 -c 'import json, sys; print([c["output_ids"] for c in json.load(sys.stdin)["cases"]])'
}

same_text() {
    local name=$1 one threads different=
    shift
    one=$(ids 1 "$@")
    for threads in 2 3 5; do
        [ "$(ids "$threads" "$@")" = "$one" ] || different="$different $threads"
    done
    if [ ${#one} -gt 200 ] && [ -z "$different" ]; then pass "$name"; else fail "$name: another with$different threads than $one"; fi
}

same_text "BF16: the same text with 1, 2, 3 and 5 threads" models/tiny
same_text "Q4_K_M: the same text" "$work/Q4_K_M.gguf"
same_text "Q8_0 with --precision f32: the same text" "$work/Q8_0.gguf" --precision f32

# 40 tokens of the golden data: an odd number of rows for every tile
for model in tests/golden/model/micro/checkpoint "$work/Q4_K_M.gguf"; do
    different=
    for threads in 1 2 3 5; do
        "$exaone" forward -q -m "$model" -t "$threads" --precision auto --in tests/golden/model/micro/stages/text.safetensors \
            --out "$work/$threads.safetensors" --stages logits || different="$different failed"
        cmp -s "$work/1.safetensors" "$work/$threads.safetensors" || different="$different $threads"
    done
    name="logits of $(basename "$model"), bit for bit"
    if [ -z "$different" ]; then pass "$name"; else fail "$name: others with$different threads"; fi
done
