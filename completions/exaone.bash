# bash completion for exaone. Commands and options are read from its own help, so they are always those of the program.
_exaone() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local words=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$prev" = help ]; }; then
        words=$("$program" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
    else
        case $prev:$cur in
        --preset:*) words="general ocr text" ;;
        --resize-backend:*) words="torchvision pil" ;;
        --precision:*) words="auto f32" ;;
        --draft:*) [ "${COMP_WORDS[1]}" = forward ] && words="1 2 3 4 5 6 7 8" || words="auto off 1 2 3 4 5 6 7 8" ;;
        --cache-type-[kv]:*) words=$("$program" run --help 2>/dev/null | sed -n 's/^ *--cache-type-k .*kept: \([a-z0-9_, ]*\) (.*/\1/p' | tr -d ',') ;;
        --synthetic:*) words=33b ;;
        --only:*) words="machine decode pass prefill context draft image video load" ;;
        --finish:*) words="stop length" ;;
        --cpu:*) words=$("$program" run --help 2>/dev/null | sed -n 's/^ *--cpu .*kernels to use: \([-a-z0-9, ]*\) (.*/\1/p' | tr -d ',') ;;
        cache: | cache:[!-]*) words="list verify clear" ;;
        *:-*) words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n '/^Options:/,/^$/s/^ *\(-[a-z]\)\{0,1\},\{0,1\} *\(--[a-z-]*\).*/\1 \2/p') ;;
        esac
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -o filenames -F _exaone exaone
