#!/bin/bash
# Drafts on the command line: the evaluation set with images and videos, and what run tells about them.
. "$(dirname "$0")/lib.sh"

model=models/tiny
cases=tests/eval/tiny/cases.jsonl

# The replies are the reference's in all 200 cases, and drafts stand as often as models/tiny/README.md measured (1 %).
for k in 1 2 3; do
    run_it "$exaone" eval -m $model --cases $cases --draft $k
    expect "eval: 200 replies with $k drafts are the reference's" 0 "; 200 equal the reference's ids"
    want=$(echo "1.94 2.757 3.336" | cut -d' ' -f$k)
    got=$(sed -n 's/.*drafts: \([0-9.]*\) tokens per verification.*/\1/p' "$work/err")
    if awk -v a="$got" -v b="$want" 'BEGIN { exit !(a > 0.99 * b && a < 1.01 * b) }'; then
        pass "$got tokens per verification with $k drafts"
    else
        fail "tokens per verification with $k drafts: $got, measured by the reference: $want"
    fi
done
run_it "$exaone" eval -m $model --cases $cases --limit 60 --draft 8
expect "eval: 8 drafts" 0 "; 60 equal the reference's ids"

run_it "$exaone" run -m $model --stats --draft 3 "7 + 9 = ?"
if grep -q "drafts: 30 of 30 accepted" "$work/err"; then pass "stats"; else fail "stats"; fi
run_it "$exaone" run -m $model --json --draft 2 "7 + 9 = ?"
expect "json: drafts" 0 '"tokens_per_verification": 3.0000'
run_it "$exaone" run -m $model --json --draft off "7 + 9 = ?"
expect "json: no drafts" 0 '"verifications": 0'

# the same text with sampling, penalties and stop texts
for k in off 1 5 8 auto; do
    run_it "$exaone" run -m $model --temp 1.5 --seed 3 --presence-penalty 1 --stop "zzz" -n 60 --batch 5 --draft $k Hello
    if [ "$k" = off ]; then
        cp "$work/out" "$work/want"
    elif cmp -s "$work/want" "$work/out"; then
        pass "sampling with --draft $k"
    else
        fail "sampling with --draft $k"
    fi
done
run_it "$exaone" run -m $model --draft 3 --stop "16" "7 + 9 = ?"
cp "$work/out" "$work/want"
run_it "$exaone" run -m $model --draft off --stop "16" "7 + 9 = ?"
if cmp -s "$work/want" "$work/out"; then pass "a stop text with drafts"; else fail "a stop text with drafts"; fi

# samples: each is the reply of its own random numbers, the first the one without --samples
run_it "$exaone" run -m $model --temp 1.5 --seed 3 -n 20 --no-think Hello
cp "$work/out" "$work/want"
run_it "$exaone" run -m $model --temp 1.5 --seed 3 -n 20 --no-think --samples 3 Hello
expect "samples" 0 "--- sample 3 of 3"
sed '/^--- sample 2/,$d' "$work/out" >"$work/first"
if cmp -s "$work/want" "$work/first"; then pass "the first sample"; else fail "the first sample"; fi
run_it "$exaone" run -m $model --json --samples 2 --logprobs 2 -n 3 Hello
expect "json: choices" 0 '"choices": [{"index": 0, '
expect "json: logprobs" 0 '"top_logprobs": [{"id": '

run_it "$exaone" run --draft 9 Hello
complains "a number of drafts that is too large" 2 "--draft 9: want auto, off or a number from 1 to 8"
run_it "$exaone" run --logprobs 2 Hello
complains "logprobs without json" 2 "--logprobs 2"
exit $failed
