# shellcheck shell=sh disable=SC2034
# For the checks: sourced, never run. Files are what git tracks or would track.
cd "$(dirname "$0")/../.." || exit 1
here=tools/check

# files GLOB...: one per line, without what is ignored
files() {
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while IFS= read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}

# C files, without those that a script makes (generated.txt)
sources() {
    files "$@" | grep -vxFf "$here/generated.txt"
}

# Prints what it reads; succeeds when there was nothing to print.
verdict() {
    awk '{ print } END { exit NR > 0 }'
}
