# Helpers of the scripts in this folder; sourced by them. Each sets `failed` to 1 when a case fails and ends with `exit $failed`.
# shellcheck shell=bash disable=SC2034
exaone=${EXAONE:-${BUILD:-build}/exaone}
unset EXAONE_MODEL NO_COLOR
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# run_it COMMAND...: runs it with the outputs in $work/out and $work/err, the exit code in $code
run_it() {
    "$@" >"$work/out" 2>"$work/err"
    code=$?
}

pass() {
    echo "ok $1"
}

fail() {
    echo "not ok $1"
    sed 's/^/# /' "$work/out" "$work/err" | head -20
    echo "# exit code $code"
    failed=1
}

# expect NAME CODE WORD: of the last run_it, the exit code and text that standard output holds
expect() {
    if [ "$code" -eq "$2" ] && grep -qF -- "$3" "$work/out"; then pass "$1"; else fail "$1"; fi
}

# exactly NAME CODE TEXT: the whole standard output, without the last line break
exactly() {
    if [ "$code" -eq "$2" ] && [ "$(cat "$work/out")" = "$3" ]; then pass "$1"; else fail "$1"; fi
}

# complains NAME CODE WORD: standard error's last lines are "exaone: …" with WORD; standard output is empty
complains() {
    if [ "$code" -eq "$2" ] && grep -q "^exaone: " "$work/err" && grep -qF -- "$3" "$work/err" && [ ! -s "$work/out" ]; then
        pass "$1"
    else
        fail "$1"
    fi
}
