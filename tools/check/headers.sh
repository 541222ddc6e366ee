#!/bin/sh
# Every header compiles alone as C11, the public ones also as C++17 and without the compiler flags of the project.
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# try HEADER COMPILER...: compiles a file that only includes it
try() {
    header=$1
    shift
    name=${header#include/}
    printf '#include "%s"\n' "${name#src/}" >"$work/one.$extension"
    "$@" -Wall -Wextra -Werror -fsyntax-only "$work/one.$extension" 2>&1 | sed "s|^$work/one.$extension|$header|"
}

{
    extension=c
    for header in $(sources 'include/exaone/*.h'); do
        try "$header" gcc -std=c11 -pedantic -Iinclude
    done
    for header in $(sources 'src/*.h' 'cli/*.h'); do
        try "$header" gcc -std=c11 -pedantic -D_GNU_SOURCE= -Iinclude -Isrc -I.
    done
    for header in $(sources 'tests/*.h'); do
        try "$header" gcc -std=c11 -D_GNU_SOURCE= -Iinclude -Isrc -I.
    done
    extension=cc
    for header in $(sources 'include/exaone/*.h'); do
        try "$header" g++ -std=c++17 -pedantic -Iinclude
    done
} | verdict
