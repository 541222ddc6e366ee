#!/bin/sh
# Three questions to the built-in tiny model: an image, a video and a sum. Prints question, expected and given answer.
# usage: tools/demo.sh PROGRAM
set -u
program=$1
right=0

# ask TITLE QUESTION EXPECTED OPTIONS...: one run; the answer must hold the expected words
ask() {
    title=$1 question=$2 expected=$3
    shift 3
    printf '\n%s\n  asked     %s\n  expected  %s\n' "$title" "$question" "$expected"
    if ! answer=$("$program" run "$@" "$question" 2>"$log"); then
        cat "$log" >&2
        answer="(the program failed)"
    fi
    printf '  answered  %s\n' "$(printf '%s' "$answer" | sed '2,$s/^/            /')"
    case $answer in
    *"$expected"*) right=$((right + 1)) ;;
    *) printf '  WRONG\n' ;;
    esac
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
unset EXAONE_MODEL
echo "EXAONE 4.5's architecture in a 7.8 M parameter model that came with the source (models/tiny):"
ask "An image (examples/media/time.png)" "Transcribe the text in the image." "0:37" --image examples/media/time.png --no-think
ask "A video (examples/media/moving-circle.mp4)" "원은 어느 쪽으로 움직여?" "오른쪽" --video examples/media/moving-circle.mp4 --no-think
ask "A sum, with reasoning" "7 + 9 = ?" '\boxed{16}'
printf '\n%d of 3 answers are right\n' "$right"
[ "$right" -eq 3 ]
