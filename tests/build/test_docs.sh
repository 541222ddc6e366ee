#!/usr/bin/env bash
# The man page names every option of every command's --help, and the bash completion offers them all.
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
