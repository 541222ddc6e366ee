#!/usr/bin/env bash
# shellcheck disable=SC2317  # functions are called through other functions
# preprocess as a process: sizes, names and shapes of the tensors, messages and exit codes.
exaone=${EXAONE:-${BUILD:-build}/exaone}
unset EXAONE_MODEL
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
picture=examples/media/time.png
video=examples/media/moving-circle.mp4

# ok NAME COMMAND...: the command succeeds
ok() {
    local name=$1
    shift
    if "$@"; then
        echo "ok $name"
    else
        echo "not ok $name"
        head -c 600 "$work/err" | sed 's/^/# /'
        failed=1
    fi
}

# run CODE ARGUMENT...: preprocess ends with this exit code; its outputs are kept
run() {
    local code=$1
    shift
    "$exaone" preprocess "$@" >"$work/out" 2>"$work/err"
    [ $? -eq "$code" ]
}

says() { grep -qF -- "$1" "$work/err"; }
prints() { [ "$(cat "$work/out")" = "$1" ]; }

# header FILE: the JSON in front of a safetensors file (its length is in the first 8 bytes)
header() {
    local n
    n=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$n"
}
# has FILE PATTERN DTYPE SHAPE: a tensor of this name, type and shape
has() { header "$1" | grep -Eq "\"$2\":\{\"dtype\":\"$3\",\"shape\":\[$4\]"; }

ok "size 480x640" run 0 --size 480x640
ok "size 480x640 is 476 x 644" prints '{"height": 476, "width": 644, "grid": [1, 34, 46], "tokens": 391}'
ok "size 10x2000, the largest ratio" run 0 --size 10x2000
ok "size 10x2000 is 28 x 812" prints '{"height": 28, "width": 812, "grid": [1, 2, 58], "tokens": 29}'
ok "size with a ratio above 200 fails" run 1 --size 10x2001
ok "the ratio is named" says 200.1
ok "size with fewer pixels" run 0 --size 480x640 --max-pixels 100352
ok "size with fewer pixels fits" prints '{"height": 252, "width": 364, "grid": [1, 18, 26], "tokens": 117}'
ok "most pixels below the model's least" run 0 --size 30x30 --max-pixels 1000
ok "the least yields" prints '{"height": 28, "width": 28, "grid": [1, 2, 2], "tokens": 1}'
ok "most pixels below the least, as the reference" run 0 --size 30x30 --max-pixels 1000 --strict-reference
ok "the reference enlarges" prints '{"height": 56, "width": 56, "grid": [1, 4, 4], "tokens": 4}'
ok "size of words" run 2 --size 10
ok "size behind a number" run 2 --size 10x20x30

ok "one picture" run 0 --image $picture --out "$work/one"
ok "pixel_values of one picture" has "$work/one" pixel_values F32 40,1176
ok "image_grid_thw of one picture" has "$work/one" image_grid_thw I64 1,3
ok "the resized picture" has "$work/one" 'resized(\.0)?' U8 56,140,3
ok "the same picture as a data URI" run 0 --image "data:image/png;base64,$(base64 -w0 $picture)" --out "$work/uri"
ok "a data URI gives the same file" cmp -s "$work/one" "$work/uri"
ok "the same picture, Pillow's rounding" run 0 --image $picture --resize-backend pil --out "$work/pil"
ok "Pillow's rounding differs" test "$(cmp "$work/one" "$work/pil" >/dev/null; echo $?)" -eq 1
ok "the model's settings" run 0 -m models/tiny --image $picture --out "$work/tiny"

if "$exaone" version | grep -q "^video: FFmpeg"; then
    ok "two pictures and a video" run 0 --image $picture --image $picture --video $video --video-frames 4 --out "$work/all"
    ok "pictures are joined" has "$work/all" pixel_values F32 80,1176
    ok "grids are joined" has "$work/all" image_grid_thw I64 2,3
    ok "the second resized picture" has "$work/all" 'resized\.1' U8 56,140,3
    ok "the video's pixel values" has "$work/all" pixel_values_videos F32 1152,1176
    ok "the video's frames" has "$work/all" 'video_indices(\.0)?' I64 4
    ok "the resized frames" has "$work/all" 'resized_videos(\.0)?' U8 4,336,336,3
else
    echo "skip two pictures and a video: this build has no FFmpeg"
fi

ok "no picture" run 2 --out "$work/x"
ok "no --out" run 2 --image $picture
ok "an unknown backend" run 2 --image $picture --resize-backend cv --out "$work/x"
ok "a file that is not there" run 1 --image "$work/none.png" --out "$work/x"
ok "the file is named" says none.png
ok "a file that is no picture" run 1 --image "$0" --out "$work/x"
ok "a URL with --no-url" run 1 --no-url --image http://example.com/a.png --out "$work/x"
ok "a private URL without --allow-private-url" run 1 --image http://127.0.0.1:9/a.png --out "$work/x"
ok "no output after a failure" test ! -e "$work/x"
exit $failed
