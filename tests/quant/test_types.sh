#!/usr/bin/env bash
# Every block type from file to logits, on the tiny model: with --precision f32 a quantised file gives the logits of an F32
# file that holds its dequantised values; with 8-bit activations they stay near; lost bytes show. Then the answers:
# a converted pair is the model itself, Q8_0 loses no case of the evaluation set, Q4_K_M at most 2 points (4 of 200).
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
same=$BUILD/tests/tools/sametensors
ids=tests/golden/model/nano/stages/text.safetensors # its 38 ids are below the tiny model's 1536

# logits MODEL PRECISION OUT
logits() {
    "$exaone" forward -m "$1" --precision "$2" --in "$ids" --stages logits --out "$3" >"$work/out" 2>&1
    code=$?
    [ "$code" -eq 0 ]
}

for type in Q8_0 Q6_K Q5_K Q5_1 Q5_0 Q4_K Q4_1 Q4_0 Q3_K IQ4_NL IQ4_XS MXFP4 Q2_K; do
    q=$work/q.gguf f=$work/f.gguf
    run_it "$exaone" quantize -q -f --no-mmproj --type F32 --tensor-type "*=$type" models/tiny "$q"
    [ "$code" -eq 0 ] || fail "$type: a file of it"
    run_it "$exaone" quantize -q -f --no-mmproj --type F32 "$q" "$f"
    [ "$code" -eq 0 ] || fail "$type: its dequantised values"
    if logits "$q" f32 "$work/a" && logits "$f" f32 "$work/b" && "$same" "$work/a" "$work/b" "" 1e-5 >"$work/out"; then
        pass "$type: f32 activations give the logits of the dequantised values"
    else
        fail "$type: f32 activations give the logits of the dequantised values"
    fi
    # 8-bit activations: half a step of 1/127 of a group's largest in each of some 60 products, damped by norms: 3 % is ample
    # (measured: 0.6 to 1.2 %)
    if logits "$q" auto "$work/c" && "$same" "$work/c" "$work/b" "" 0.03 >"$work/out" && ! cmp -s "$work/a" "$work/c"; then
        pass "$type: 8-bit activations stay within 3 %"
    else
        fail "$type: 8-bit activations stay within 3 %"
    fi
    # 512 bytes in the middle of the file, where the matrices are
    dd if=/dev/zero of="$q" bs=512 count=1 seek=$(($(stat -c %s "$q") / 1024)) conv=notrunc status=none
    if logits "$q" f32 "$work/a" && ! "$same" "$work/a" "$work/b" "" 1e-5 >"$work/out"; then
        pass "$type: 512 lost bytes show"
    else
        fail "$type: 512 lost bytes show"
    fi
done

# answers MODEL MMPROJ: right and equal to the reference's, of the 200 cases
answers() {
    run_it "$exaone" eval -q -m "$1" --mmproj "$2" --cases tests/eval/tiny/cases.jsonl
    sed -n 's/^all *\([0-9]*\) of 200; \([0-9]*\) equal.*/\1 \2/p' "$work/out"
}

# MODEL: the whole pair, with the settings files that GGUF has no keys for (the video processor, greedy generation)
run_it "$exaone" convert -q models/tiny "$work/bf16.gguf" --mmproj-out "$work/mmproj.gguf"
read -r right equal <<<"$(answers "$work/bf16.gguf" "$work/mmproj.gguf")"
if [ "$right" = 167 ] && [ "$equal" = 200 ]; then pass "a converted pair answers as the folder does"; else fail "a converted pair answers as the folder does"; fi
for limit in "Q8_0 167" "Q4_K_M 163"; do
    type=${limit% *} least=${limit#* }
    run_it "$exaone" quantize -q --no-mmproj --type "$type" models/tiny "$work/$type.gguf"
    read -r right equal <<<"$(answers "$work/$type.gguf" "$work/mmproj.gguf")"
    if [ "${right:-0}" -ge "$least" ]; then pass "$type: at least $least of 200 right"; else fail "$type: at least $least of 200 right"; fi
done
exit $failed
