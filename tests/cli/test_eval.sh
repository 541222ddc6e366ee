#!/bin/sh
# The whole evaluation set through the real program: greedy ids equal to the reference's in every case, and so its accuracy.
exaone=${EXAONE:-${BUILD:-build}/exaone}
out=$(env -u EXAONE_MODEL "$exaone" eval --cases tests/eval/tiny/cases.jsonl 2>&1) || { echo "not ok eval"; echo "$out"; exit 1; }
code=0
case $out in
*"200 equal the reference's ids"*) echo "ok ids equal the reference's in 200 of 200 cases" ;;
*) echo "not ok ids equal the reference's"; echo "$out"; code=1 ;;
esac
case $out in
*"all           167 of 200"*) echo "ok accuracy equals the reference's, 167 of 200" ;;
*) echo "not ok accuracy equals the reference's"; echo "$out"; code=1 ;;
esac
# control: another model's weights must not pass
if env -u EXAONE_MODEL "$exaone" eval -m tests/golden/model/micro/checkpoint --cases tests/eval/tiny/cases.jsonl >/dev/null 2>&1; then
    echo "not ok a model without a tokenizer is refused"; code=1
else
    echo "ok a model without a tokenizer is refused"
fi
# perplexity
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'Hello! How can I help you?' >"$work/text"
out=$(env -u EXAONE_MODEL "$exaone" eval --text "$work/text" --json 2>/dev/null)
case $out in
*'"tokens": '*'"predicted": '*'"perplexity": '*) echo "ok perplexity as JSON" ;;
*) echo "not ok perplexity as JSON"; echo "$out"; code=1 ;;
esac
perplexity() { env -u EXAONE_MODEL "$exaone" eval --text "$1" --json 2>/dev/null | sed 's/.*"perplexity": \([0-9]*\).*/\1/'; }
printf 'zq xv Qj ~~ }{ kk' >"$work/noise"
known=$(perplexity "$work/text") noise=$(perplexity "$work/noise")
if [ "$known" -lt "$noise" ]; then
    echo "ok a sentence of the training data is more probable than noise"
else
    echo "not ok a sentence of the training data is more probable than noise: $known against $noise"; code=1
fi
printf x >"$work/one"
if env -u EXAONE_MODEL "$exaone" eval --text "$work/one" >/dev/null 2>&1; then
    echo "not ok a text of one token is refused"; code=1
else
    echo "ok a text of one token is refused"
fi
line=$(head -1 tests/eval/tiny/cases.jsonl)
mkdir "$work/files"
cp tests/eval/tiny/files/ocr-000.png "$work/files"
printf '%s\n' "$line" >"$work/cases.jsonl"
out=$(env -u EXAONE_MODEL "$exaone" eval --cases "$work/cases.jsonl" --json 2>/dev/null | sed 's/"reply_seconds": [0-9.]*/"reply_seconds": S/g')
wanted='{"cases": [{"id": "ocr-000", "output_ids": [128, 138, 131, 135, 53], "output_text": "0:37<|endofturn|>", "reply_seconds": S, "correct": true, "matches_reference": true}], "accuracy": {"ocr": [1, 1]}'
case $out in
"$wanted"*) echo "ok the report as JSON, paths relative to the file" ;; # times follow
*)
    echo "not ok the report as JSON, paths relative to the file"
    echo "$out"
    code=1
    ;;
esac
exit $code
