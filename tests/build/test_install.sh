#!/usr/bin/env bash
# What `make install` puts down works from there: the program with its model, both libraries, the header, exaone.pc.
set -u
if grep -q fsanitize "$BUILD/.flags"; then
    echo "skip install: a sanitizer build is not what one installs"
    exit 0
fi
to=$TMPDIR/to
root=$to/usr/local
if ! make -s EXAONE_READY=1 BUILD="$BUILD" DESTDIR="$to" PREFIX=/usr/local install; then
    echo "not ok install"
    exit 1
fi
echo "ok install"

report() { # NAME: by the status of the command before
    if [ $? -eq 0 ]; then
        echo "ok $1"
    else
        echo "not ok $1"
    fi
}

for file in include/exaone/status.h lib/libexaone.a lib/libexaone.so lib/pkgconfig/exaone.pc share/man/man1/exaone.1 \
    share/bash-completion/completions/exaone share/zsh/site-functions/_exaone share/fish/vendor_completions.d/exaone.fish; do
    test -s "$root/$file"
    report "$file is there"
done

cat >"$TMPDIR/version.c" <<'END'
#include <stdio.h>
#include <exaone/version.h>
int main(void) {
    puts(exaone_version());
    return 0;
}
END
want=$(sed -n 's/^#define EXAONE_VERSION "\(.*\)"/\1/p' include/exaone/version.h)
export PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$to
test "$(pkg-config --modversion exaone)" = "$want"
report "pkg-config states the version"

# shellcheck disable=SC2046 # flags
cc "$TMPDIR/version.c" $(pkg-config --cflags --libs exaone) -o "$TMPDIR/shared" &&
    test "$(LD_LIBRARY_PATH=$root/lib "$TMPDIR/shared")" = "$want"
report "a program with the shared library"

# shellcheck disable=SC2046
cc "$TMPDIR/version.c" $(pkg-config --cflags exaone) "$root/lib/libexaone.a" \
    $(pkg-config --static --libs exaone | sed 's/-lexaone//') -o "$TMPDIR/static" && test "$("$TMPDIR/static")" = "$want"
report "a program with the static library"

image=$PWD/examples/media/time.png
answer=$(cd / && "$root/bin/exaone" run --no-think --greedy --image "$image" "Transcribe the text in the image.")
test "$answer" = "0:37"
report "the installed program finds its model and answers"

make -s EXAONE_READY=1 BUILD="$BUILD" DESTDIR="$to" PREFIX=/usr/local uninstall
test -z "$(find "$to" ! -type d)" && test ! -e "$root/share/exaone" && test ! -e "$root/include/exaone"
report "uninstall leaves nothing"

make -s EXAONE_READY=1 BUILD="$TMPDIR/none" help >/dev/null && test ! -e "$TMPDIR/none"
report "make help creates nothing"
