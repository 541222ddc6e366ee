#!/bin/sh
# Installs the Debian or Ubuntu packages of tools/packages.txt that are missing; silent when none is.
# usage: tools/setup.sh GROUP...    (the groups of packages.txt; "video" may be missing: the build then leaves it out)
set -u
list=$(dirname "$0")/packages.txt

# rows FIELD GROUP...: that column of the rows of these groups
rows() {
    field=$1
    shift
    awk -v field="$field" -v groups=" $* " '!/^#/ && NF >= 3 && index(groups, " " $1 " ") { print $field }' "$list"
}

# Modules of these groups that pkg-config does not find, or the compiler's and pkg-config's own absence.
unusable() {
    command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || echo "a C compiler"
    if ! command -v pkg-config >/dev/null 2>&1; then
        echo "pkg-config"
        return
    fi
    for module in $(rows 3 "$@" | tr ',' '\n' | grep -v '^-$'); do
        pkg-config --exists "$module" || echo "$module"
    done
}

# One word per line to one line.
flat() {
    tr '\n' ' ' | sed 's/ *$//'
}

required=""
for group in "$@"; do
    [ "$group" = video ] || required="$required $group"
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # a list of words
    lacks=$(unusable $required | flat)
    [ -z "$lacks" ] || echo "setup: not a Debian system; please install by hand what is missing: $lacks" >&2
    exit 0
fi

wanted=$(rows 2 "$@")
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(echo "$wanted" | tr '|' ' ') 2>/dev/null | sed -n 's/^installed //p')
missing=$(printf '%s\n--\n%s\n' "$have" "$wanted" | awk '
    /^--$/ { listed = 1; next }
    !listed { have[$1] = 1; next }
    { n = split($1, names, "|"); found = 0; for (i = 1; i <= n; i++) if (names[i] in have) found = 1; if (!found) print names[1] }')
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086
if [ -z "$(unusable "$@")" ] && [ -z "$(echo "$missing" | grep -Ex 'g\+\+|clang|clang-format|cppcheck|libgif-dev|libc6-dev')" ]; then
    exit 0 # there by another way than the package manager
fi

line=$(echo "$missing" | flat)
echo "setup: installing $line" >&2
root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: this needs root and there is no sudo; as root: apt-get install $line" >&2
        root=none
    fi
    [ "$root" = none ] || root=sudo
fi

install() {
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1
}

if [ "$root" != none ]; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # shellcheck disable=SC2086
    if install $missing; then
        exit 0
    fi
    echo "setup: updating the package lists first" >&2
    $root apt-get update -q >"$log" 2>&1
    # shellcheck disable=SC2086
    if install $missing; then
        exit 0
    fi
    tail -n 5 "$log" >&2
    # One package that this release does not have must not keep the others out.
    for package in $missing; do
        install "$package" || echo "setup: cannot install $package" >&2
    done
fi

# shellcheck disable=SC2086
lacks=$(unusable $required | flat)
if [ -n "$lacks" ]; then
    echo "setup: still missing: $lacks" >&2
    exit 1
fi
exit 0
