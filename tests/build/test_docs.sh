#!/usr/bin/env bash
# The man page names every option of every command's --help, and the bash completion offers them all. The completions of
# bash, zsh and fish know the values of options that have a few.
set -u
program=$BUILD/exaone
page=$TMPDIR/page
sed 's/\\-/-/g; s/\\f[BIR]//g' docs/man/exaone.1 >"$page"
commands=$("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
# shellcheck source=completions/exaone.bash
source completions/exaone.bash
if [ "$(echo "$commands" | wc -w)" -lt 10 ]; then
    echo "not ok commands: --help lists $commands"
fi

COMP_WORDS=("$program" "") COMP_CWORD=1
_exaone
offered=" ${COMPREPLY[*]} "
COMP_WORDS=("$program" help "") COMP_CWORD=2
_exaone
if [[ " ${COMPREPLY[*]} " == *" chat "* ]]; then echo "ok help completes commands"; else echo "not ok help completes commands"; fi
for command in $commands; do
    case $command in
    help | version) continue ;; # no options
    esac
    if grep -qE "(^|[^a-z-])$command([^a-z-]|\$)" "$page" && [[ $offered == *" $command "* ]]; then
        echo "ok $command"
    else
        echo "not ok $command is missing in the man page or the completion"
    fi
    lacking=""
    COMP_WORDS=("$program" "$command" "-") COMP_CWORD=2
    _exaone
    for option in $("$program" "$command" --help | sed -n '/^Options:/,/^$/s/^ *\(-[a-z]\)\{0,1\},\{0,1\} *\(--[a-z-]*\).*/\1 \2/p'); do
        case $option in
        -h | --help) continue ;;
        esac
        grep -qE -- "(^|[^a-z-])$option([^a-z-]|\$)" "$page" || lacking="$lacking man:$option"
        [[ " ${COMPREPLY[*]} " == *" $option "* ]] || lacking="$lacking completion:$option"
    done
    if [ -z "$lacking" ]; then
        echo "ok options of $command"
    else
        echo "not ok options of $command:$lacking"
    fi
done

# What each shell offers behind some words of a command line, one a line and sorted.
in_bash() {
    COMP_WORDS=("$program" "$@" "") COMP_CWORD=$(($# + 1))
    _exaone
    printf '%s\n' "${COMPREPLY[@]}"
}
# Without a terminal: compadd prints what zsh would offer.
in_zsh() {
    # shellcheck disable=SC2016 # for zsh to expand
    zsh -f -c 'compadd() { print -l -- $@ }; _files() { }; eval "_exaone() { $(<completions/exaone.zsh) }"
        words=("$@" ""); CURRENT=$#words; _exaone' zsh "$program" "$@"
}
in_fish() {
    PATH=$(realpath "$BUILD"):$PATH fish --no-config -c "source completions/exaone.fish; complete -C 'exaone $* '"
}
types=$("$program" run --help | sed -n 's/^ *--cache-type-k .*kept: \(.*\) (.*/\1/p' | tr -d ',')
levels=$("$program" run --help | sed -n 's/^ *--cpu .*use: \(.*\) (.*/\1/p' | tr -d ',')
for shell in bash zsh fish; do
    if ! command -v $shell >/dev/null; then
        echo "skip values in $shell: $shell is not installed"
        continue
    fi
    while IFS=: read -r words wanted; do
        # shellcheck disable=SC2086 # words of a command line
        offered=$(in_$shell $words | cut -f 1 | sort)
        # shellcheck disable=SC2086 # likewise
        if [ -n "$wanted" ] && [ "$offered" = "$(printf '%s\n' $wanted | sort)" ]; then
            echo "ok $shell: values of $words"
        else
            echo "not ok $shell: values of $words:" $offered
        fi
    done <<END
run --cache-type-k:$types
chat --cache-type-v:$types
run --cpu:$levels
eval --precision:auto f32
run --draft:auto off 1 2 3 4 5 6 7 8
forward --draft:1 2 3 4 5 6 7 8
run --preset:general ocr text
cache:list verify clear
bench --only:machine decode pass prefill context draft image video load
bench --synthetic:33b
END
done
