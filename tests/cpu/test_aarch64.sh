#!/usr/bin/env bash
# The kernels of aarch64: cross-compiled with their tests and run under qemu's user mode, on a processor of each level.
set -u
cd "$(dirname "$0")/../.." || exit 1
where=${BUILD:-build}/aarch64
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
if ! command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || [ ! -e /usr/aarch64-linux-gnu/lib/libc.a ] || [ -z "$qemu" ]; then
    echo "skip aarch64: no cross compiler, its libc or qemu-aarch64 here; make test-aarch64 installs them"
    exit 0
fi
# the libraries of this machine are of no use there, and the kernels need none
if ! make -s EXAONE_READY=1 BUILD="$where" CC=aarch64-linux-gnu-gcc SAN= FUZZ= LIB_MODULES= PROGRAM_MODULES= VIDEO_MODULES= \
    kernel-tests; then
    echo "not ok aarch64 builds"
    exit 1
fi
echo "ok aarch64 builds"

# run CPU TEST: each case counts; a program that ends without all its results has failed
run() {
    local name="aarch64 $1 $2" status
    "$qemu" -cpu "$1" "$where/kernel-tests/test_$2" >"$where/log" 2>&1
    status=$?
    awk -v name="$name" -v status="$status" '
        /^1\.\.[0-9]+$/ { planned = substr($0, 4); next }
        /^(not )?ok [0-9]+ - / { seen++; bad += /^not/; sub(/ok [0-9]+ -/, "ok " name) }
        { print }
        END { if (!planned || seen != planned || (status != 0) != (bad > 0)) print "not ok " name " ended with status " status }
    ' "$where/log"
}

# levels CPU LEVEL...: what the ladder finds on that processor
levels() {
    local cpu=$1 found
    shift
    found=$("$qemu" -cpu "$cpu" "$where/kernel-tests/levels")
    if [ "$found" = "$*" ]; then echo "ok aarch64 $cpu has $*"; else echo "not ok aarch64 $cpu has $*: found $found"; fi
}

# kernels CPU: every check of bench/kernels.c counts
kernels() {
    "$qemu" -cpu "$1" "$where/kernel-tests/kernels" --check | sed "s/^ok /ok aarch64 $1 /; s/^not ok /not ok aarch64 $1 /"
    [ "${PIPESTATUS[0]}" -le 1 ] || echo "not ok aarch64 $1 kernels ended in the middle"
}

levels cortex-a72 scalar neon
levels neoverse-n1 scalar neon dotprod
levels max scalar neon dotprod i8mm
for test in plain scaled attention; do
    run cortex-a72 "$test"
done
for test in plain scaled tiles; do # attention has no kernels above neon, and takes long
    run max "$test"
done
kernels cortex-a72
kernels max
