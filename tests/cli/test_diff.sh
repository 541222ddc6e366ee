#!/usr/bin/env bash
# exaone imatrix and exaone diff as processes.
. "$(dirname "$0")/lib.sh"
export EXAONE_MODEL=models/tiny
text=$work/text.txt
for i in $(seq 60); do echo "line $i: the quick brown fox, 빠른 갈색 여우 $((i * 37))"; done >"$text"
head -3 tests/eval/tiny/cases.jsonl >"$work/cases.jsonl"
ln -s "$PWD/tests/eval/tiny/files" "$work/files"
image=$(find tests/eval/tiny/files -name '*.png' | sort | head -1)

# ---- imatrix ----
run_it "$exaone" imatrix --text "$text" --ctx 64 --chunks 2 --image "$image" --max-tokens 2 -o "$work/one.gguf"
expect "imatrix of a text and an image" 0 "matrices"
run_it "$exaone" imatrix --cases "$work/cases.jsonl" --max-tokens 4 -o "$work/two.gguf"
expect "imatrix of cases" 0 "matrices"
if grep -q "blk.8.nextn.eh_proj.weight has seen nothing" "$work/err"; then pass "what saw nothing is named"; else fail "what saw nothing is named"; fi
run_it "$exaone" imatrix --in-file "$work/one.gguf" --in-file "$work/two.gguf" -o "$work/both.gguf"
expect "imatrix merges files" 0 "87 matrices"
run_it "$exaone" imatrix --text "$text" --ctx 64 --chunks 2 --threads 1 -o "$work/t1.gguf"
"$exaone" imatrix --text "$text" --ctx 64 --chunks 2 --threads 3 -o "$work/t3.gguf" >/dev/null 2>&1
if cmp -s "$work/t1.gguf" "$work/t3.gguf"; then pass "threads do not show"; else fail "threads do not show"; fi
run_it "$exaone" imatrix --text "$text"
complains "imatrix without -o" 2 "give -o FILE"
run_it "$exaone" imatrix -o "$work/x.gguf"
complains "imatrix without input" 2 "give --text, --cases, --image or --in-file"
run_it "$exaone" imatrix --in-file README.md -o "$work/x.gguf"
complains "imatrix of no importance matrix" 1 "README.md: "
run_it "$exaone" imatrix --text "$work/nowhere" -o "$work/x.gguf"
complains "imatrix of a text that is not there" 1 "nowhere"
if [ -e "$work/x.gguf" ]; then fail "a failure writes nothing"; else pass "a failure writes nothing"; fi
for i in $(seq 40); do cat "$text"; done >"$work/long.txt"
"$exaone" imatrix --text "$work/long.txt" -o "$work/x.gguf" >"$work/out" 2>"$work/err" &
pid=$!
sleep 0.7
kill -INT $pid
wait $pid
code=$?
complains "Ctrl-C stops" 130 "stopped; nothing was written"
if [ -e "$work/x.gguf" ]; then fail "Ctrl-C writes nothing"; else pass "Ctrl-C writes nothing"; fi

# ---- diff ----
run_it "$exaone" quantize --type Q4_0 --threads 2 models/tiny "$work/q.gguf"
expect "a file to compare" 0 "bits per weight"
run_it "$exaone" diff models/tiny models/tiny
expect "a model equals itself" 0 "161 tensors compared, 161 of them equal: relative error 0, largest difference 0"
run_it "$exaone" diff models/tiny "$work/q.gguf" --imatrix "$work/both.gguf"
expect "diff names what only one side has" 0 "rope_freqs.weight"
expect "diff weighs errors" 0 ", weighted 0.0"
run_it "$exaone" diff models/tiny "$work/q.gguf" --sort
second=$(sed -n 3p "$work/out" | awk '{print $4}')
third=$(sed -n 4p "$work/out" | awk '{print $4}')
if awk "BEGIN {exit !($second >= $third && $third > 0)}"; then pass "diff sorts"; else fail "diff sorts"; fi
run_it "$exaone" diff models/tiny "$work/q.gguf" --json --text "$text" --ctx 64 --chunks 3
if python3 - "$work/out" <<'PY'; then pass "diff --json"; else fail "diff --json"; fi
import json, sys
r = json.load(open(sys.argv[1]))
by = {t["name"]: t for t in r["tensors"]}
q = by["blk.0.attn_q.weight"]
assert q["status"] == "compared" and q["type_a"] == "BF16" and q["type_b"] == "Q4_0" and 0.03 < q["relative"] < 0.2
assert by["rope_freqs.weight"]["status"] == "only_b"
assert r["summary"]["compared"] == 161 and r["summary"]["only_b"] == 1
t = r["text"]
assert t["tokens"] == 192 and 0 < t["kl_median"] <= t["kl_mean"] <= t["kl_max"] and 0.5 < t["top1"] < 1
assert abs(t["perplexity_ratio"] - t["perplexity_b"] / t["perplexity_a"]) < 1e-6
PY
run_it "$exaone" diff models/tiny models/tiny --no-tensors --text "$text" --ctx 64 --chunks 2
expect "a model predicts what it predicts" 0 "KL divergence: mean 0.000000, median 0.000000, 99 % 0.000000, largest 0.000000"
expect "and finds the same tokens" 0 "same top token: 100.000 % of 128 places"
run_it "$exaone" diff models/tiny tests/golden/model/micro/checkpoint
expect "other shapes are errors" 1 "error: A has the shape ["
run_it "$exaone" diff models/tiny tests/golden/model/micro/checkpoint --no-tensors --text "$text"
complains "models of other vocabularies" 1 "A has a vocabulary of"
run_it "$exaone" diff models/tiny
complains "diff of one model" 2 "want two models"
run_it "$exaone" diff models/tiny models/tiny --no-tensors
complains "nothing to compare" 2 "--no-tensors without --text"
run_it "$exaone" diff models/tiny "$work/nowhere"
complains "a model that is not there" 1 "nowhere"
exit $failed
