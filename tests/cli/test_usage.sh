#!/usr/bin/env bash
# Commands, options, help, messages and exit codes.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

run_it "$exaone"
if [ "$code" -eq 2 ] && grep -q '^  run ' "$work/err"; then pass "no command: the list, exit 2"; else fail "no command"; fi
for word in help --help -h; do
    run_it "$exaone" $word
    expect "$word" 0 "Ask about an image:"
done
run_it "$exaone" --version
expect "--version" 0 "exaone $(sed -n 's/^#define EXAONE_VERSION "\(.*\)"/\1/p' include/exaone/version.h)"
run_it "$exaone" rnu
complains "unknown command, with a suggestion" 2 "did you mean run?"
run_it "$exaone" xyzzyx
complains "unknown command, without one" 2 "xyzzyx"

commands="run chat eval inspect forward tokenize detokenize template parse-reply preprocess quantize convert bench"
for command in $commands; do
    run_it "$exaone" "$command" --help
    cp "$work/out" "$work/help"
    expect "$command --help shows its form" 0 "Usage: exaone $command"
    if grep -q "^  .*exaone $command" "$work/out"; then pass "$command --help has an example"; else fail "$command --help has an example"; fi
    run_it "$exaone" help "$command"
    if cmp -s "$work/out" "$work/help"; then pass "help $command is the same"; else fail "help $command"; fi
    run_it "$exaone" "$command" --no-such-option
    complains "$command: unknown option" 2 "unknown option --no-such-option"
done

run_it "$exaone" run --imgae x y
complains "nearest option" 2 "did you mean --image?"
run_it "$exaone" run --presence 1 x
complains "the option that the word begins" 2 "did you mean --presence-penalty?"
run_it "$exaone" run -x hi
complains "no wild suggestion" 2 "unknown option -x"
if grep -q "did you mean" "$work/err"; then fail "no wild suggestion for -x"; else pass "no wild suggestion for -x"; fi
run_it "$exaone" -m models/tiny run hi
complains "an option before the command" 2 "-m comes behind a command"
run_it "$exaone" run --cpu bogus x
complains "an unknown level" 2 "--cpu bogus: this machine runs none of that name, but every level from scalar to "
run_it "$exaone" run -m "" x
complains "an empty model path" 2 "--model: the path is empty"
run_it "$exaone" run --image "" x
complains "an empty image path" 2 "--image: the file name is empty"
run_it "$exaone" run --image - <examples/media/time.png
complains "standard input for two things" 2 "the prompt and --image - both want standard input"
run_it "$exaone" run --image - --video - x <examples/media/time.png
complains "standard input for two media" 2 "--image - and --video - both want standard input"
run_it "$exaone" run --tools - --image - x <examples/media/time.png
complains "standard input for tools and an image" 2 "--tools - and --image - both"
run_it "$exaone" run --temp hot x
complains "a word for a number" 2 "--temp hot: want a number from 0 to"
run_it "$exaone" run --top-p 1.5 x
complains "a number out of range" 2 "from 0 to 1"
run_it "$exaone" run --top-p nan x
complains "NaN" 2 "--top-p nan"
run_it "$exaone" run --seed 99999999999999999999 x
complains "a whole number that does not fit" 2 "--seed"
run_it "$exaone" run -n 0 x
complains "no tokens" 2 "from 1"
run_it "$exaone" run x --image
complains "a value is missing" 2 "--image needs a value"
run_it "$exaone" run --no-think=1 x
complains "a flag takes no value" 2 "--no-think takes no value"
run_it "$exaone" run --preset poem x
complains "an unknown preset" 2 "poem"
run_it "$exaone" run --video-fps 2 --video-frames 4 --video x y
complains "two ways of sampling" 2 "--video-frames"
exclude() {
    run_it "$exaone" run x "$@"
    complains "exclude each other: $1 and $3" 2 "$3"
    if grep -qF -- "$1" "$work/err"; then pass "both are named: $1"; else fail "both are named: $1"; fi
}
exclude --preset ocr --greedy
exclude --temp 1 --greedy
run_it "$exaone" run --think --no-think x
complains "--think and --no-think" 2 "--think and --no-think exclude each other"
run_it "$exaone" run --min-pixels 4000 --max-pixels 3000 x
complains "least above most" 2 "--min-pixels 4000 is more than --max-pixels 3000"
run_it "$exaone" run --max-pixels 1 x
complains "fewer pixels than one token has" 2 "--max-pixels 1: want a whole number from 784"
run_it "$exaone" preprocess --size 10x10 --video-min-frames 9 --video-max-frames 8
complains "least frames above most" 2 "--video-min-frames 9"
if command -v script >/dev/null; then
    run_it script -qec "'$exaone' detokenize" /dev/null
    expect "detokenize without ids on a terminal" 2 "no ids"
fi
run_it "$exaone" run x y
complains "two prompts" 2 "more than one prompt"
run_it "$exaone" run -p x -f y
complains "two prompts by options" 2 "more than one prompt"
run_it "$exaone" run "" </dev/null
complains "an empty prompt" 2 "empty"
run_it "$exaone" run </dev/null
complains "an empty standard input" 2 "empty"
run_it "$exaone" eval
complains "eval wants one of two" 2 "--cases"
run_it "$exaone" forward --in x
complains "forward wants --out" 2 "--out"
run_it "$exaone" forward --in x --out y --precision bf16
complains "only f32" 2 "bf16"
run_it "$exaone" forward --in x --out y --calls 3,x
complains "lengths of calls" 2 "--calls 3,x"
run_it "$exaone" preprocess --size 0x10
complains "a size of nothing" 2 "--size 0x10: want HEIGHTxWIDTH"
run_it "$exaone" preprocess --size 10
complains "a size of one number" 2 "--size 10"

# inspect: the rows add up; the tensors are asked for
run_it "$exaone" inspect models/tiny --ctx 16384
expect "inspect: a summary first" 0 " of memory for 16384 tokens of context"
if grep -q "model.embed_tokens" "$work/out"; then fail "inspect: no tensors"; else pass "inspect: no tensors"; fi
value() { sed -n "s/^  $1 *\([0-9]*\).*/\1/p" "$work/out"; }
kv=$(($(value kv_cache_full_layers_bytes) + $(value kv_cache_sliding_layers_bytes) + $(value kv_cache_mtp_bytes)))
if [ "$kv" -gt 0 ] && [ "$kv" -eq "$(value kv_cache_bytes)" ]; then pass "inspect: the cache adds up"; else fail "inspect: the cache adds up"; fi
total=$(($(value weights_bytes) + kv + $(value workspace_bytes) + $(value vision_bytes)))
if [ "$(value workspace_bytes)" -gt 0 ] && [ "$(value vision_bytes)" -gt 0 ] && [ "$total" -eq "$(value total_bytes)" ]; then
    pass "inspect: the memory adds up"
else
    fail "inspect: the memory adds up"
fi
run_it "$exaone" inspect models/tiny --ctx 999999
expect "inspect: more context than the model has" 0 "999999 tokens are more than the model's limit of 16384"
run_it "$exaone" inspect models/tiny --tensors
expect "inspect --tensors" 0 "embed_tokens"
run_it "$exaone" inspect models/tiny --json
expect "inspect --json has the tensors" 0 "embed_tokens"

mkdir "$work/awq"
cp models/tiny/*.json "$work/awq"
ln -s "$PWD/models/tiny/model.safetensors" "$work/awq"
sed -i '0,/{/s//{"quantization_config": {"quant_method": "awq", "bits": 4},/' "$work/awq/config.json"
run_it "$exaone" inspect "$work/awq"
expect "inspect: a model that is not run" 0 "cannot be run by this version: "
if grep -q "^160 tensors (BF16 160)" "$work/out"; then pass "inspect: its tensors"; else fail "inspect: its tensors"; fi
run_it "$exaone" inspect --json "$work/awq"
expect "inspect --json: a model that is not run" 0 '"cannot_run": "'
run_it "$exaone" run -m "$work/awq" x
complains "run: a model that is not run" 1 "awq"

# errors of files: one sentence that names the file, exit 1
run_it "$exaone" run -m "$work/none" x
complains "no such model" 1 "$work/none"
printf 'not a model' >"$work/bad.gguf"
run_it "$exaone" inspect "$work/bad.gguf"
complains "a file that is no model" 1 "bad.gguf"
mkdir "$work/cut"
cp models/tiny/*.json "$work/cut"
head -c 1000000 models/tiny/model.safetensors >"$work/cut/model.safetensors"
run_it "$exaone" inspect "$work/cut"
complains "a file that was cut" 1 "an incomplete download?"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 15553680\n' >"$work/cut/model.safetensors"
run_it "$exaone" run -m "$work/cut" x
complains "a Git LFS pointer" 1 "model.safetensors is a Git LFS pointer"
cp "$work/cut/model.safetensors" "$work/pointer.gguf"
run_it "$exaone" run -m "$work/pointer.gguf" x
complains "a Git LFS pointer for a GGUF file" 1 "pointer.gguf is a Git LFS pointer"
run_it "$exaone" run --image "$work/none.png" x
complains "no such image" 1 "none.png"
run_it "$exaone" run --image "$work/bad.gguf" x
complains "a file that is no image" 1 "bad.gguf"
mkdir "$work/two"
run_it "$exaone" convert models/tiny "$work/two/tiny-BF16.gguf"
run_it "$exaone" run -m "$work/two/tiny-BF16.gguf" --max-tokens 1 x
if [ $code -eq 0 ] && ! grep -q "mmproj files" "$work/err"; then pass "one mmproj file: no note"; else fail "one mmproj file: no note"; fi
cp "$work/two/mmproj-tiny-BF16.gguf" "$work/two/mmproj-other-F32.gguf"
run_it "$exaone" run -m "$work/two/tiny-BF16.gguf" --max-tokens 1 x
if [ $code -eq 0 ] && grep -q "vision tower: .*/mmproj-tiny-BF16.gguf, chosen from 2 mmproj files" "$work/err"; then
    pass "two mmproj files: the choice is said"
else
    fail "two mmproj files: the choice is said"
fi
run_it "$exaone" run --no-url --image http://127.0.0.1:9/x.png x
complains "--no-url" 1 "URLs are not fetched with --no-url"
run_it "$exaone" run --image http://127.0.0.1:9/x.png x
complains "private addresses stay off" 1 "only with --allow-private-url"
run_it "$exaone" run --video-frames 1000 --video tests/eval/tiny/files/video-000 x
complains "more frames than there are" 1 "decrease --video-frames or --video-fps"
run_it "$exaone" run --tools "$work/bad.gguf" x
complains "tools that are no JSON" 1 "bad.gguf"
run_it "$exaone" forward -m models/tiny --in "$work/bad.gguf" --out "$work/x"
complains "inputs that are no safetensors file" 1 "bad.gguf"
run_it "$exaone" eval --cases "$work/bad.gguf"
complains "cases that are no JSON" 1 "line 1"

# a full disk is an error, not silence
if [ -w /dev/full ]; then
    "$exaone" help >/dev/full 2>"$work/err"
    code=$?
    : >"$work/out"
    complains "standard output is full" 1 "standard output"
else
    echo "skip standard output is full: no /dev/full here"
fi
exit $failed
