#!/bin/sh
# clang-format would change nothing; with --fix it changes what it would.
. "$(dirname "$0")/lib.sh"
if [ "${1:-}" = --fix ]; then
    sources '*.c' '*.h' | xargs clang-format -i
    exit
fi
sources '*.c' '*.h' | xargs clang-format --dry-run -Werror 2>&1 | grep -E '^[^ ].*: (error|warning)' |
    awk -F: '!n[$1]++ { first[$1] = $2; order[++files] = $1 }
             END { for (i = 1; i <= files; i++)
                       print order[i] ":" first[order[i]] ": " n[order[i]] " places differ; run clang-format -i " order[i] }' |
    verdict
