#!/usr/bin/env bash
# `exaone pull`, `list`, `rm` and -m REPO:QUANT as processes, against a hub of this machine that serves the tiny model.
set -u
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
tools=$BUILD/tests/tools
export HF_HOME=$work/hf
unset HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_TOKEN_PATH HF_HUB_OFFLINE TRANSFORMERS_OFFLINE \
    XDG_CACHE_HOME http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY
server=""
stop_server() { [ -z "$server" ] || { kill "$server"; wait "$server" 2>/dev/null; server=""; }; }
trap 'stop_server; rm -rf "$work"' EXIT

# serve [KEY=N...]: (re)starts the hub and sets HF_ENDPOINT
serve() {
    stop_server
    rm -f "$work/port"
    "$tools/hubserver" "$work/port" "$@" tiny-F16.gguf="$work/tiny.gguf" mmproj-tiny-BF16.gguf="$work/mmproj.gguf" \
        LICENSE="$work/LICENSE" &
    server=$!
    for _ in $(seq 100); do
        [ -s "$work/port" ] && break
        sleep 0.05
    done
    HF_ENDPOINT=http://127.0.0.1:$(cat "$work/port")
    export HF_ENDPOINT
}

echo "terms" >"$work/LICENSE"
: >"$work/err"
if ! "$tools/hf2gguf" models/tiny "$work/tiny.gguf" "$work/mmproj.gguf" --type f16 >"$work/out" 2>&1; then
    code=1
    fail "the tiny model as GGUF"
    exit 1
fi
snapshot=$HF_HOME/hub/models--org--tiny-GGUF/snapshots/0123456789abcdef0123456789abcdef01234567

serve redirect=1
run_it "$exaone" pull org/tiny-GGUF --dry-run
if [ "$code" -eq 0 ] && grep -q "MB  tiny-F16.gguf" "$work/out" && [ ! -e "$HF_HOME" ]; then pass "dry run"; else fail "dry run"; fi
run_it "$exaone" pull org/tiny-GGUF:f16
exactly "pull prints the path" 0 "$snapshot/tiny-F16.gguf"
if grep -q "licence: exaone.*non-commercial.*http" "$work/err"; then pass "licence"; else fail "licence"; fi
if cmp -s "$work/tiny.gguf" "$snapshot/tiny-F16.gguf" && cmp -s "$work/mmproj.gguf" "$snapshot/mmproj-tiny-BF16.gguf"; then
    pass "bytes"
else
    fail "bytes"
fi
run_it "$exaone" pull -q org/tiny-GGUF
if [ "$code" -eq 0 ] && [ ! -s "$work/err" ]; then pass "quiet"; else fail "quiet"; fi
run_it "$exaone" pull org/tiny-GGUF:Q4_K_M
complains "the types there are" 1 "has no Q4_K_M; there are: F16"
run_it "$exaone" pull nonsense
complains "no name" 2 "want ORG/NAME"
run_it "$exaone" pull org/other
complains "no repository" 1 "404"

# By name, without network.
stop_server
run_it "$exaone" run -m org/tiny-GGUF:F16 --greedy --no-think "2 + 3 = ?"
cp "$work/out" "$work/by-name"
run_it "$exaone" run -m "$work/tiny.gguf" --mmproj "$work/mmproj.gguf" --greedy --no-think "2 + 3 = ?"
if [ "$code" -eq 0 ] && [ -s "$work/out" ] && cmp -s "$work/out" "$work/by-name"; then pass "run by name"; else fail "run by name"; fi
run_it env EXAONE_MODEL=org/tiny-GGUF "$exaone" inspect
expect "inspect by EXAONE_MODEL" 0 "mmproj-tiny-BF16.gguf"
run_it "$exaone" run -m org/tiny-GGUF:Q8_0 "x"
complains "not pulled" 1 "exaone pull org/tiny-GGUF:Q8_0"
run_it "$exaone" run -m org/none "x"
complains "not pulled at all" 1 "exaone pull org/none"
mkdir -p "$work/here/org/tiny-GGUF"
run_it env -C "$work/here" "$(realpath "$exaone")" inspect org/tiny-GGUF
complains "a path on disk wins" 1 "holds no model"
run_it env HF_HUB_OFFLINE=1 "$exaone" pull org/tiny-GGUF:F16
exactly "offline" 0 "$snapshot/tiny-F16.gguf"
run_it env HF_HUB_OFFLINE=1 "$exaone" pull
complains "offline, not there" 1 "offline: LGAI-EXAONE/EXAONE-4.5-33B-GGUF:Q4_K_M is not in the cache"

# Where the cache is.
run_it env HF_HUB_CACHE="$work/other" "$exaone" list
if [ "$code" -eq 0 ] && grep -q "no models in $work/other;" "$work/err"; then pass "HF_HUB_CACHE"; else fail "HF_HUB_CACHE"; fi
run_it env -u HF_HOME XDG_CACHE_HOME="$work/xdg" "$exaone" list
if grep -q "no models in $work/xdg/huggingface/hub;" "$work/err"; then pass "XDG_CACHE_HOME"; else fail "XDG_CACHE_HOME"; fi
run_it env -u HF_HOME HOME="$work/home" "$exaone" list
if grep -q "no models in $work/home/.cache/huggingface/hub;" "$work/err"; then pass "HOME"; else fail "HOME"; fi
run_it "$exaone" list
expect "list" 0 "$snapshot/tiny-F16.gguf"
run_it "$exaone" list --json
expect "list as JSON" 0 '"repo": "org/tiny-GGUF", "quant": "F16"'

# Removing.
odd=$work/odd/models--a--b/snapshots/0123456789012345678901234567890123456789
mkdir -p "$odd"
: >"$odd/x$(printf '\033]0;t\007\302\233')-Q4_0.gguf"
run_it env HF_HUB_CACHE="$work/odd" "$exaone" list
expect "control characters in names are not printed" 0 '/x?]0;t???-Q4_0.gguf'
run_it "$exaone" rm org/tiny-GGUF:F16
if [ "$code" -eq 1 ] && [ -e "$snapshot/tiny-F16.gguf" ]; then pass "rm asks"; else fail "rm asks"; fi
run_it "$exaone" rm -y org/tiny-GGUF:F16
if [ "$code" -eq 0 ] && [ ! -e "$HF_HOME/hub/models--org--tiny-GGUF" ]; then pass "rm"; else fail "rm"; fi
run_it "$exaone" rm -y org/tiny-GGUF:F16
complains "rm of nothing" 1 "is not in the cache"

# A token from the file, a wrong one, none.
serve token=hf_abc cut_after=500000 cuts=3
run_it "$exaone" pull org/tiny-GGUF
complains "no token" 1 "HF_TOKEN"
mkdir -p "$HF_HOME" && printf 'hf_abc\n' >"$HF_HOME/token"
run_it "$exaone" pull org/tiny-GGUF
exactly "the token's file; cut connections" 0 "$snapshot/tiny-F16.gguf"
run_it env HF_TOKEN=hf_no "$exaone" pull org/tiny-GGUF
complains "HF_TOKEN goes before the file" 1 "access denied"
rm -rf "$HF_HOME"

# Ctrl-C keeps what has come; the next pull goes on from there.
serve slow_ms=20
"$exaone" pull org/tiny-GGUF --connections 1 >"$work/out" 2>"$work/err" &
pulling=$!
for _ in $(seq 200); do
    kept=$(cat "$HF_HOME"/hub/models--org--tiny-GGUF/blobs/*.incomplete 2>/dev/null | wc -c)
    [ "$kept" -gt 1000000 ] && break
    sleep 0.05
done
kill -INT "$pulling"
wait "$pulling"
code=$?
kept=$(cat "$HF_HOME"/hub/models--org--tiny-GGUF/blobs/*.incomplete | wc -c)
if [ "$code" -eq 130 ] && [ "$kept" -gt 1000000 ] && grep -q "stopped" "$work/err"; then pass "Ctrl-C"; else fail "Ctrl-C"; fi
run_it "$exaone" list
if grep -q "unfinished files: 1" "$work/err"; then pass "list names unfinished files"; else fail "list names unfinished files"; fi
serve
run_it "$exaone" pull org/tiny-GGUF
if [ "$code" -eq 0 ] && cmp -s "$work/tiny.gguf" "$snapshot/tiny-F16.gguf"; then pass "continued"; else fail "continued"; fi
exit $failed
