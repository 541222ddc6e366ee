#!/bin/sh
# Installs the Debian or Ubuntu packages of tools/packages.txt that are missing; silent when none is.
# usage: tools/setup.sh GROUP...    (groups of packages.txt; "video" and "cross" may stay missing: the build leaves video
#        out, the tests of other processors say that they were skipped)
set -u
list=$(dirname "$0")/packages.txt

# The rows of the groups whose package is not installed: "GROUP PACKAGE PROBE", PACKAGE being the first of a choice.
absent() {
    {
        [ ! -x "$(command -v dpkg-query)" ] || dpkg-query -W -f 'have ${Package} ${db:Status-Status}\n' 2>/dev/null
        cat "$list"
    } | awk -v groups=" $* " '
        $1 == "have" { if ($3 == "installed") have[$2] = 1; next }
        /^#/ || !index(groups, " " $1 " ") { next }
        {
            n = split($2, choice, "|")
            for (i = 1; i <= n; i++) if (choice[i] in have) next
            print $1, choice[1], $3
        }'
}

# Of these rows, those that pkg-config and PATH do not have from elsewhere either.
missing() {
    absent "$@" | while read -r group package probe; do
        case $probe in
        -) ;;
        !*) ! command -v "${probe#!}" >/dev/null 2>&1 || continue ;;
        *) ! pkg-config --exists "$(echo "$probe" | tr ',' ' ')" 2>/dev/null || continue ;;
        esac
        echo "$group $package $probe"
    done
}

rows=$(missing "$@")
[ -n "$rows" ] || exit 0
packages=$(echo "$rows" | cut -d ' ' -f 2 | tr '\n' ' ' | sed 's/ $//')

if ! command -v apt-get >/dev/null 2>&1; then
    echo "$rows" | awk '$3 != "-" { print "setup: there is no apt-get here; please install what Debian calls " $2 }' >&2
    exit 0
fi

install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1
}

as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
if [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; then
    echo "setup: please run as root: apt-get install $packages" >&2
else
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    echo "setup: installing $packages" >&2
    # shellcheck disable=SC2086 # words
    if ! install $packages; then
        echo "setup: updating the package lists first" >&2
        $as_root apt-get update -q >"$log" 2>&1
        if ! install $packages; then
            tail -n 5 "$log" >&2
            for package in $packages; do # one that this release lacks must not keep the others out
                install "$package" || echo "setup: cannot install $package" >&2
            done
        fi
    fi
fi

left=$(missing "$@" | awk '$1 != "video" && $1 != "cross" { print $2 }' | tr '\n' ' ')
[ -z "$left" ] || echo "setup: still missing: $left" >&2
[ -z "$left" ]
