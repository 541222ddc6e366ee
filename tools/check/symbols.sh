#!/bin/sh
# Every global symbol of the library starts with exaone_; the shared and the static library show exactly the functions that the
# headers in include/exaone declare with EXAONE_API.
. "$(dirname "$0")/lib.sh"
build=${BUILD:-build}
if [ ! -f "$build/libexaone.a" ] || [ ! -f "$build/libexaone.so" ]; then
    echo "$build holds no libexaone.a and libexaone.so: run make first"
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    find "$build/src" -name '*.o' -exec nm -A --defined-only --extern-only {} + | awk '
        $NF !~ /^exaone_/ { split($1, part, ":"); print part[1] ": global symbol " $NF " does not start with exaone_" }'
    nm --defined-only --extern-only "$build/libexaone.a" | awk 'NF == 3 { print $NF }' | sort >"$work/archived"
    nm -D --defined-only "$build/libexaone.so" | awk '{ print $NF }' | grep -v '^_\(init\|fini\)$' | sort >"$work/shown"
    cat include/exaone/*.h | tr '\n' ' ' | sed 's|/\*|\n/*|g; s|\*/|*/\n|g' | sed '/^\/\*/d' | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*EXAONE_API.*[ *]\(exaone_[a-z0-9_]*\)(.*/\1/p' | sort >"$work/declared"
    comm -23 "$work/shown" "$work/declared" | sed 's/^/libexaone.so shows what no public header declares: /'
    comm -23 "$work/archived" "$work/declared" | sed 's/^/libexaone.a shows what no public header declares: /'
    comm -13 "$work/archived" "$work/declared" | sed 's/^/include\/exaone declares what libexaone.a does not hold: /'
    comm -13 "$work/shown" "$work/declared" | sed 's/^/include\/exaone declares what libexaone.so does not hold: /'
} | verdict
