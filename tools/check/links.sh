#!/bin/sh
# Links of the Markdown pages that point into the repository exist; so do the headings they name.
. "$(dirname "$0")/lib.sh"

# anchors FILE: the names that GitHub gives its headings
anchors() {
    sed -n 's/^##* *//p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^[:alnum:] _-]//g; s/ /-/g'
}

files '*.md' | while IFS= read -r page; do
    # Inline links outside code blocks, one a line: LINE TARGET
    awk '/^```/ { code = !code; next }
         !code { line = $0; gsub(/`[^`]*`/, "", line)
                 while (match(line, /\]\([^) ]+/)) { print FNR, substr(line, RSTART + 2, RLENGTH - 2); line = substr(line, RSTART + RLENGTH) } }' "$page" |
        while read -r line target; do
            case $target in
            *://* | mailto:*) continue ;;
            esac
            path=${target%%#*}
            anchor=""
            [ "$path" = "$target" ] || anchor=${target#*#}
            file=$page
            [ -z "$path" ] || file=$(dirname "$page")/$path
            if [ ! -e "$file" ]; then
                echo "$page:$line: $target does not exist"
            elif [ -n "$anchor" ] && [ -f "$file" ] && ! anchors "$file" | grep -qxF -- "$anchor"; then
                echo "$page:$line: $target: no such heading"
            fi
        done
done | verdict
