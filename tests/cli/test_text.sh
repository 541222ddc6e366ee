#!/usr/bin/env bash
# tokenize, detokenize, template and parse-reply as processes: bytes in, bytes and exit codes out. The expected texts are
# cases of the golden files.
exaone=${EXAONE:-${BUILD:-build}/exaone}
unset EXAONE_MODEL
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# check NAME WANTED_CODE WANTED_OUTPUT COMMAND...: standard input passes through; the outputs are compared byte by byte
check() {
    local name=$1 code=$2 wanted=$3 got
    shift 3
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    printf '%s' "$wanted" >"$work/wanted"
    if [ "$got" -eq "$code" ] && cmp -s "$work/out" "$work/wanted"; then
        echo "ok $name"
    else
        echo "not ok $name"
        echo "# exit code $got, wanted $code; output: $(head -c 300 "$work/out" "$work/err")"
        failed=1
    fi
}

# message NAME WORD: the last command's standard error is one "exaone: " line (a hint may follow) that holds WORD
message() {
    if [[ $(head -1 "$work/err") == "exaone: "*"$2"* ]]; then
        echo "ok $1"
    else
        echo "not ok $1"
        echo "# $(head -3 "$work/err")"
        failed=1
    fi
}
nl=$'\n'
tok=tests/golden/edges/tokenizer/tokenizer.json

check "tokenize nothing" 0 '{"ids": [], "pieces": []}'"$nl" "$exaone" tokenize --tokenizer $tok </dev/null
check "tokenize one letter" 0 '{"ids": [160], "pieces": ["a"]}'"$nl" "$exaone" tokenize --tokenizer $tok < <(printf a)
check "tokenize a newline" 0 '{"ids": [294], "pieces": ["\n"]}'"$nl" "$exaone" tokenize --tokenizer $tok < <(printf '\n')
if printf '<|user|>' | "$exaone" tokenize --tokenizer $tok | grep -qF '"pieces": ["<|user|>"]'; then
    echo "not ok control tokens are text by default"
    failed=1
else
    echo "ok control tokens are text by default"
fi
check "control tokens with --parse-special" 0 '"pieces": ["<|user|>"]}'"$nl" sh -c \
    "printf '<|user|>' | '$exaone' tokenize --parse-special --tokenizer $tok | grep -oF '\"pieces\": [\"<|user|>\"]}'"
check "a tokenizer that is not there" 1 "" "$exaone" tokenize --tokenizer "$work/none.json" </dev/null
message "the missing file is named" none.json
check "tokenize takes no words" 2 "" "$exaone" tokenize word </dev/null
check "an unknown option" 2 "" "$exaone" tokenize --tokeniser x </dev/null

check "bytes of one letter joined" 0 $'\xed\x95\x9c' "$exaone" detokenize --tokenizer $tok 265 339 346
check "a cut letter" 0 $'\xef\xbf\xbd' "$exaone" detokenize --tokenizer $tok 265 339
check "ids on standard input" 0 $'\xed\x95\x9c' "$exaone" detokenize --tokenizer $tok < <(printf '265, 339\n346\n')
check "no ids" 0 "" "$exaone" detokenize --tokenizer $tok </dev/null
check "a word that is no id" 2 "" "$exaone" detokenize --tokenizer $tok 160 1x
message "the word is named" 1x
check "an id out of range" 1 "" "$exaone" detokenize --tokenizer $tok 99999999
message "the id is named" 99999999
text='한국어와 English, 1234 <think> \t "quotes"'
ids=$(printf '%s' "$text" | "$exaone" tokenize | sed 's/.*"ids": \[\([^]]*\)\].*/\1/')
check "there and back" 0 "$text" "$exaone" detokenize "$ids"
user=$(printf '<|user|>hi' | "$exaone" tokenize --parse-special | sed 's/.*"ids": \[\([^]]*\)\].*/\1/')
check "special tokens kept" 0 "<|user|>hi" "$exaone" detokenize "$user"
check "special tokens skipped" 0 "hi" "$exaone" detokenize --skip-special "$user"

check "template" 0 "<|user|>${nl}Hi<|endofturn|>$nl" "$exaone" template \
    < <(printf '{"name": "x", "messages": [{"role": "user", "content": "Hi"}], "options": {}, "expected": {}}')
check "template with a generation prompt" 0 "<|user|>${nl}Hi<|endofturn|>$nl<|assistant|>$nl<think>$nl" "$exaone" template \
    < <(printf '{"messages": [{"role": "user", "content": "Hi"}], "options": {"add_generation_prompt": true}}')
check "template without thinking" 0 "<|user|>${nl}Hi<|endofturn|>$nl<|assistant|>$nl<think>$nl$nl</think>$nl$nl" \
    "$exaone" template \
    < <(printf '{"messages": [{"role": "user", "content": "Hi"}],
        "options": {"add_generation_prompt": true, "enable_thinking": false}}')
check "template of no JSON" 1 "" "$exaone" template < <(printf '{"messages": [')
message "broken JSON is reported" ""
check "template of no messages" 1 "" "$exaone" template < <(printf '{}')

reply='{"reasoning_content": "The user greets me.", "content": "Hello!", "tool_calls": [], "finish_reason": "stop"}'
check "parse-reply" 0 "$reply$nl" "$exaone" parse-reply < <(printf 'The user greets me.\n</think>\n\nHello!')
check "parse-reply cut by length" 0 "${reply/\"stop\"/\"length\"}$nl" "$exaone" parse-reply --finish length \
    < <(printf 'The user greets me.\n</think>\n\nHello!')
check "parse-reply --finish with another word" 2 "" "$exaone" parse-reply --finish soon </dev/null
for command in tokenize detokenize template parse-reply; do
    if "$exaone" $command --help | grep -q '^Usage: exaone '$command; then
        echo "ok $command --help"
    else
        echo "not ok $command --help"
        failed=1
    fi
done
exit $failed
