#!/bin/sh
# cppcheck on the library, the program and the examples. Not the tests: their asserts end a function, which it cannot know.
# A finding that is wrong is silenced where it stands: /* cppcheck-suppress ID ; reason */
# invalidFunctionArg is off: it takes every loop for one that may run zero times, and so every log(sum) for log(0).
. "$(dirname "$0")/lib.sh"
defines="-D__x86_64__ -D__linux__ -DEXAONE_HAVE_FFMPEG=1 -D__GNUC__=12"
# shellcheck disable=SC2086
sources 'src/*.c' 'cli/*.c' 'examples/*.c' 'bench/*.c' >"${TMPDIR:-/tmp}/cppcheck.$$"
trap 'rm -f "${TMPDIR:-/tmp}/cppcheck.$$"' EXIT
# shellcheck disable=SC2086
cppcheck --quiet -j "$(nproc)" --std=c11 --language=c --platform=unix64 --enable=warning,performance,portability \
    --inline-suppr --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=invalidFunctionArg --error-exitcode=1 \
    --template='{file}:{line}: {severity}: {message} [{id}]' -Iinclude -Isrc $defines --file-list="${TMPDIR:-/tmp}/cppcheck.$$" 2>&1
