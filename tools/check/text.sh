#!/bin/sh
# No trailing white space, no tab outside Makefiles, no CR, a newline at the end, UTF-8. Test data and models are left alone.
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')
cr=$(printf '\r')
files '*.c' '*.h' '*.sh' '*.md' '*.py' '*.txt' '*.in' '*.1' '*.bash' '*.zsh' '*.fish' Makefile .ci/run .gitignore .clang-format |
    grep -vE '^(tests/golden|tests/fuzz/corpus|tests/eval)/|^tests/.*/(data|corpus|expected)/' |
    while IFS= read -r file; do
        grep -nE "[ $tab]+\$" "$file" | sed "s|^\([0-9]*\):.*|$file:\1: white space at the end of the line|"
        [ "$file" = Makefile ] || grep -n "$tab" "$file" | sed "s|^\([0-9]*\):.*|$file:\1: a tab|"
        grep -n "$cr" "$file" | sed "s|^\([0-9]*\):.*|$file:\1: a carriage return|"
        [ -z "$(tail -c 1 "$file")" ] || echo "$file:$(wc -l <"$file"): no newline at the end"
        iconv -f UTF-8 -t UTF-8 "$file" >/dev/null 2>&1 || echo "$file:1: not UTF-8"
    done | verdict
