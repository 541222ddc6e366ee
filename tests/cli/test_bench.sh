#!/usr/bin/env bash
# exaone bench on the tiny model: what is listed, the three forms of output, options.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

run_it "$exaone" bench --only decode,pass-4,prefill-32,draft,image-448,load --runs 2 --json
if [ "$code" -eq 0 ] && python3 - "$work/out" <<'PY'; then pass "JSON with medians, walls and every run"; else fail "JSON"; fi
import json, statistics, sys
r = json.load(open(sys.argv[1]))
names = [i["name"] for i in r["results"]]
assert names == ["load", "decode", "pass-4", "draft", "prefill-32", "image-448"], names
assert r["machine"]["bandwidth"][0]["threads"] == 1 and r["machine"]["bandwidth"][0]["bytes_per_second"] > 1e6
assert {p["kind"] for p in r["machine"]["peaks"] if p["used"]} >= {"fma", "int8"}
assert r["model"]["layers"] == r["model"]["scaled_to_layers"] == 8 and not r["model"]["synthetic"]
assert r["resident_bytes"] > 10e6 and 0 <= r["huge_page_bytes"] <= r["resident_bytes"], r
for i in r["results"]:
    assert i["runs"] == len(i["samples"]) == 2, i
    assert abs(i["seconds"] - statistics.median(i["samples"])) < 1e-7 and i["least"] <= i["seconds"] <= i["most"], i
    assert i["seconds"] == i["scaled_seconds"], i
    if i["name"] != "load":
        assert i["wall_seconds"] == max(i["memory_seconds"], i["compute_seconds"]) > 0, i
        assert abs(i["of_wall"] - i["wall_seconds"] / i["seconds"]) < 1e-3 * i["of_wall"], i
decode, four = r["results"][1], r["results"][2]
assert abs(decode["rate"] * decode["seconds"] - 1) < 1e-6 and abs(four["rate"] * four["seconds"] - 4) < 1e-6
assert decode["layers"]["weight_bytes"] == four["layers"]["weight_bytes"]
assert 4 * decode["layers"]["bf16_macs"] == four["layers"]["bf16_macs"]
PY
run_it "$exaone" bench --only decode,decode-at-4K,decode-at-32K --runs 1
expect "a table" 0 "decode, 1 row"
expect "a row behind a context" 0 "decode, 1 row behind 4K" # how much of it is reading the context depends on the moment
expect "a context that the model has not" 0 "not measured: the model's context is shorter"
run_it "$exaone" bench --only pass-2 --runs 2 --csv
expect "CSV" 0 "name,runs,seconds,least,most,scaled_seconds,rate,unit,wall_seconds,of_wall"
expect "CSV: a line per result" 0 "pass-2,2,"
run_it "$exaone" bench --only machine --cpu scalar --threads 1 --runs 1
expect "the machine alone" 0 "1 thread, kernels scalar"
if grep -q "^model" "$work/out"; then fail "no model for the machine alone"; else pass "no model for the machine alone"; fi
run_it "$exaone" bench -m tests/golden/model/micro/checkpoint --only draft,image-448,decode --runs 1
expect "a model without a tokenizer" 0 "decode, 1 row"

run_it "$exaone" bench --only decoed
complains "an unknown name" 2 "--only decoed: want machine, decode"
run_it "$exaone" bench --only decode,
complains "an empty name" 2 "--only"
run_it "$exaone" bench --synthetic 32b
complains "another size" 2 "--synthetic 32b: want 33b or 33b:TYPE"
run_it "$exaone" bench --synthetic 33b:Q7
complains "an unknown type" 2 "33b:Q7: no such type"
run_it "$exaone" bench --synthetic 33b --layers 65
complains "too many layers" 2 "--layers 65: want a whole number from 1 to 64"
run_it "$exaone" bench --layers 4
complains "layers of a file" 2 "--layers belongs to --synthetic"
run_it "$exaone" bench --synthetic 33b -m models/tiny
complains "two models" 2 "--synthetic makes a model"
run_it "$exaone" bench --json --csv
complains "two forms" 2 "one of --json and --csv"
run_it "$exaone" bench --force
complains "--force alone" 2 "--force belongs to --write-gguf"
run_it "$exaone" bench models/tiny
complains "a word" 2 "unexpected argument models/tiny"
run_it "$exaone" bench -m "$work/none"
complains "no such model" 1 "$work/none"
touch "$work/there.gguf"
run_it "$exaone" bench --synthetic 33b --layers 1 --write-gguf "$work/there.gguf"
complains "a file that is there" 1 "$work/there.gguf is there already"
# F32 is 133 GB
run_it "$exaone" bench --synthetic 33b:F32
if [ "$code" -eq 1 ] && grep -q "64 layers of the 33B as F32 need 13[0-9].[0-9] GB of memory" "$work/err"; then
    pass "a machine that is too small is told what is needed"
elif [ "$(awk '/MemAvailable/ {print $2}' /proc/meminfo)" -gt 140000000 ]; then
    echo "skip a machine that is too small: this one has more than 140 GB"
else
    fail "a machine that is too small"
fi

# one layer without vision tower: 1.3 GB of weights
if [ "$(awk '/MemAvailable/ {print $2}' /proc/meminfo)" -gt 6000000 ]; then
    run_it "$exaone" bench --synthetic 33b:Q2_K --layers 1 --only decode,draft --runs 1 --json
    if [ "$code" -eq 0 ] && python3 - "$work/out" <<'PY'; then pass "one layer of the 33B, scaled"; else fail "one layer of the 33B, scaled"; fi
import json, sys
r = json.load(open(sys.argv[1]))
m, decode, draft = r["model"], r["results"][0], r["results"][1]
assert m["synthetic"] and m["path"] == "33b:Q2_K" and m["layers"] == 1 and m["scaled_to_layers"] == 64 and m["mmproj_bytes"] == 0
assert m["text_bytes"] < m["text_bytes_all_layers"] / 5
assert decode["seconds"] < decode["scaled_seconds"] < 64 * decode["seconds"] and draft["seconds"] == draft["scaled_seconds"]
assert decode["fixed"]["int8_macs"] == 153600 * 5120
assert decode["layers"]["int8_macs"] == 2 * 5120 * 5120 + 2 * 1024 * 5120 + 3 * 27392 * 5120
# a layer, its fc and the output matrix
assert draft["fixed"]["int8_macs"] == decode["layers"]["int8_macs"] + 2 * 5120 * 5120 + 153600 * 5120
PY
else
    echo "skip one layer of the 33B: less than 6 GB of memory are left"
fi

# another program beside ours: one that always says the same
cat >"$work/other" <<'PY'
#!/usr/bin/env python3
import json
print(json.dumps([{"n_prompt": 32, "n_gen": 0, "avg_ns": 64e9}, {"n_prompt": 0, "n_gen": 8, "avg_ns": 16e9}]))
PY
chmod +x "$work/other"
run_it bench/compare.py models/tiny "$work/other" --program "$exaone" --rounds 1 --inner 1 --prefill 32
expect "compare.py: the other's prefill" 0 "other     0.50 (0.50 to 0.50)"
if [ "$(grep -c '^prefill  ours .* ratio\|^decode   ours .* ratio' "$work/out")" -eq 2 ]; then pass "compare.py: ratios"; else fail "compare.py: ratios"; fi
run_it bench/compare.py models/tiny false --program "$exaone" --rounds 1 --inner 1 --prefill 32
if [ "$code" -eq 1 ] && grep -q "false ended with 1" "$work/err"; then pass "compare.py: a failing program"; else fail "compare.py: a failing program"; fi

# Ctrl-C: what there is by then, exit code 130
"$exaone" bench --only decode,image-1344 --runs 100 --max-seconds 60 >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 100); do # it listens to signals when it has said which model it takes
    grep -q "built-in tiny model" "$work/err" && break
    sleep 0.1
done
sleep 2
kill -INT "$pid"
wait "$pid"
code=$?
expect "Ctrl-C prints what there is" 130 "interrupted"
exit $failed
