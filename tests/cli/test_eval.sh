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
exit $code
