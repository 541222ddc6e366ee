#!/usr/bin/env bash
# `exaone chat` as a process: commands on standard input, and once on a terminal.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export XDG_STATE_HOME=$work/state

# chat NAME EXPECTED LINES...: the standard output of a conversation, without the last line break
chat() {
    local name=$1 expected=$2
    shift 2
    printf '%s\n' "$@" | "$exaone" chat >"$work/out" 2>"$work/err"
    code=$?
    exactly "$name" 0 "$expected"
}

greeting="Hello! How can I help you?"
ask="Transcribe the text in the image."
file=examples/media/time.png
chat "an answer" "$greeting" "/think off" Hello
chat "thinking stays out of a pipe" "The answer is \boxed{16}." "7 + 9 = ?"
chat "an image" "($file goes with the next message)"$'\n'"0:37" "/think off" "/image $file" "$ask"
chat "retry" "$greeting"$'\n'"$greeting" "/think off" Hello /retry
chat "exit ends, nothing behind it is read" "" /exit Hello
chat "undo, save, load" "$greeting"$'\n'"(saved)"$'\n'"(saved)"$'\n'"(3 messages)"$'\n'"(saved)" "/think off" "/system Be brief." \
    Hello "/save $work/one.json" /undo "/save $work/two.json" "/load $work/one.json" "/save $work/three.json"
if cmp -s "$work/one.json" "$work/three.json" && ! cmp -s "$work/one.json" "$work/two.json"; then
    pass "what was saved is what was loaded"
else
    fail "what was saved is what was loaded"
fi
if grep -q '"role": "system", "content": "Be brief."' "$work/two.json"; then pass "undo keeps the system message"; else fail "undo keeps the system message"; fi
printf '%s\n' "/think off" /undo "/image $work/none.png" "/load $work/none.json" /nonsense Hello |
    "$exaone" chat >"$work/out" 2>"$work/err"
code=$?
expect "faults do not end the conversation" 0 "$greeting"
for word in "nothing to undo" none.png none.json /nonsense; do
    if grep -qF "$word" "$work/err"; then pass "said: $word"; else fail "said: $word"; fi
done
cp $file "$work/a picture.png"
mkdir "$work/home"
cp $file "$work/home/x.png"
# shellcheck disable=SC2088 # the program expands it
for typed in "\"$work/a picture.png\"" "$work/a\\ picture.png" "'$work/a picture.png' " "~/x.png"; do
    printf '%s\n' "/image $typed" "$ask" "/save $work/saved.json" | HOME=$work/home "$exaone" chat --no-think >"$work/out" 2>"$work/err"
    code=$?
    expect "/image ${typed/$work/...}" 0 "0:37"
done
(cd "$work" && printf '%s\n' "/load saved.json" /retry | "$OLDPWD/$exaone" chat --no-think >"$work/out" 2>"$work/err")
code=$?
expect "a saved conversation knows its images from anywhere" 0 "0:37"
printf '%s\n' "/image README.md" "/image" "/think perhaps" "/undoo" "/retry now" "/load README.md" /new //help |
    "$exaone" chat --no-think --no-cache >"$work/out" 2>"$work/err"
for word in "README.md: the " "/image needs a file name" "/think takes on or off" "/undoo: no such command; did you mean /undo?" \
    "/retry takes nothing" "exaone: README.md: "; do
    if grep -qF "$word" "$work/err"; then pass "says at once: $word"; else fail "says at once: $word"; fi
done
if [ "$(wc -l <"$work/err")" -eq 8 ] && [ "$(wc -l <"$work/out")" -eq 1 ]; then pass "a fault is one line, // is a message"; else fail "a fault is one line"; fi
run_it "$exaone" chat --no-think --image $file <<<"$ask"
expect "--image goes with the first message" 0 "0:37"
run_it "$exaone" chat --no-think --system x word
complains "chat takes no prompt" 2 "word"

# a terminal: type LINES..., each after a second, into `exaone chat` under script(1); a line is a printf format
type_lines() {
    for line in "$@"; do
        sleep 1
        # shellcheck disable=SC2059 # escapes are wanted
        printf "$line"
    done
    sleep 1
}
if command -v script >/dev/null; then
    type_lines '/think off\n' 'Hello\n' '' '/exit\n' | script -qec "'$exaone' chat" /dev/null >"$work/out" 2>"$work/err"
    code=$?
    expect "on a terminal" 0 "$greeting"
    if grep -q "^Hello" "$XDG_STATE_HOME/exaone/history"; then pass "the history is kept"; else fail "the history is kept"; fi
    type_lines '/think off\n' '안녕\n' '' '/exit\n' | LC_ALL=C script -qec "'$exaone' chat" /dev/null >"$work/out" 2>"$work/err"
    code=$?
    expect "Korean is typed in any locale" 0 "안녕하세요! 무엇을 도와드릴까요?"
    if grep -q "^안녕" "$XDG_STATE_HOME/exaone/history"; then pass "Korean history"; else fail "Korean history"; fi
    # the trap keeps the shell alive: without it the interrupt may end it before it has seen how the program ended
    type_lines '' '\003' | script -qec "trap : INT; '$exaone' chat; echo code=\$?" /dev/null >"$work/out" 2>"$work/err"
    code=$?
    if grep -q "^code=130" "$work/out"; then pass "Ctrl-C at the prompt ends the line"; else fail "Ctrl-C at the prompt"; fi
    type_lines '/he\t\n' '/exit\n' | script -qec "'$exaone' chat" /dev/null >"$work/out" 2>"$work/err"
    code=$?
    expect "Tab completes commands" 0 "/exit           leave"
else
    echo "skip on a terminal: no script(1) here"
fi
exit $failed
