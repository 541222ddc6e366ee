#!/usr/bin/env bash
# The prefix cache through the program: a second run, a second chat, the command cache, faults.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export XDG_CACHE_HOME=$work/xdg
folder=$XDG_CACHE_HOME/exaone/prefix
cache=$work/cache
for _ in $(seq 60); do echo "A line of a document that is read again and again."; done >"$work/document"

# ask OPTIONS...: a run whose answer is in $work/answer and whose number of cached tokens is in $cached
ask() {
    run_it "$exaone" run -f "$work/document" --greedy --no-think -n 12 --json --quiet "$@"
    sed 's/.*"content": \("[^"]*"\).*/\1/' "$work/out" >"$work/answer"
    cached=$(sed 's/.*"cached_tokens": \([0-9]*\).*/\1/' "$work/out")
}

ask
cp "$work/answer" "$work/cold"
if [ "$cached" = 0 ] && [ ! -e "$XDG_CACHE_HOME" ]; then pass "run keeps nothing by itself"; else fail "run keeps nothing by itself"; fi
ask --cache-dir "$cache"
if [ "$cached" = 0 ] && cmp -s "$work/answer" "$work/cold"; then pass "first run"; else fail "first run"; fi
ask --cache-dir "$cache"
if [ "$cached" -gt 500 ] && cmp -s "$work/answer" "$work/cold"; then pass "second run: cached, the same answer"; else fail "second run"; fi
echo "And a question." >>"$work/document"
ask --cache-dir "$cache"
if [ "$cached" -gt 500 ]; then pass "another question about it"; else fail "another question about it"; fi
ask --cache-dir "$cache" --cpu scalar
if [ "$cached" = 0 ]; then pass "other kernels: a miss"; else fail "other kernels: a miss"; fi
modes=$(find "$cache" -type d ! -perm 0700 -o -type f ! -perm 0600)
if [ -z "$modes" ]; then pass "modes 0700 and 0600"; else fail "modes: $modes"; fi

run_it "$exaone" cache list --cache-dir "$cache"
expect "cache list" 0 "entries"
run_it "$exaone" cache verify --cache-dir "$cache"
expect "cache verify" 0 "0 broken entries"
find "$cache" -path '*/??/*' -type f | while read -r file; do printf 'x' | dd of="$file" bs=1 seek=100 conv=notrunc status=none; done
run_it "$exaone" run -f "$work/document" --greedy --no-think -n 12 --cache-dir "$cache" -m models/tiny
if [ "$code" -eq 0 ] && [ "$(grep -c "^exaone: cache folder" "$work/err")" -eq 1 ]; then
    pass "broken entries: one warning"
else
    fail "broken entries: one warning"
fi
ask --cache-dir "$cache"
if [ "$cached" -gt 500 ]; then pass "they are written anew"; else fail "they are written anew"; fi
find "$cache" -path '*/??/*' -type f | head -n 3 | while read -r file; do truncate -s 90 "$file"; done
run_it "$exaone" cache verify --cache-dir "$cache"
expect "cache verify removes" 1 " broken entries, removed"
run_it "$exaone" cache verify --cache-dir "$cache" --json
expect "cache verify --json" 0 '"removed": 0'
run_it "$exaone" cache clear --cache-dir "$cache"
expect "cache clear" 0 "entries removed"
run_it "$exaone" cache list --cache-dir "$cache"
expect "then it is empty" 0 "empty"
run_it "$exaone" cache clear --cache-dir "$work/nowhere"
expect "a folder that is not there" 0 "0 entries removed"

question="$(tr '\n' ' ' <"$work/document")"
echo "$question" | "$exaone" chat --greedy --no-think -n 8 >"$work/out" 2>"$work/err"
code=$?
if [ "$(grep -c "cached in $folder" "$work/err")" -eq 1 ]; then pass "chat says where"; else fail "chat says where"; fi
run_it "$exaone" cache list
expect "chat keeps" 0 "$folder: "
if grep -q entries "$work/out"; then pass "the folder is not empty"; else fail "the folder is not empty"; fi
echo "$question" | "$exaone" chat --greedy --no-think -n 8 --no-cache >"$work/out" 2>"$work/err"
if ! grep -q "cached in" "$work/err"; then pass "chat --no-cache"; else fail "chat --no-cache"; fi
run_it "$exaone" cache clear
expect "cache clear of chat's folder" 0 "entries removed"

run_it "$exaone" run hi --no-cache --cache-dir "$cache"
complains "--no-cache and --cache-dir" 2 "exclude each other"
run_it "$exaone" run hi --cache-dir "$cache" --cache-budget lots
complains "--cache-budget lots" 2 "want a number of bytes"
run_it "$exaone" cache tidy
complains "cache tidy" 2 "list, verify and clear"
run_it "$exaone" cache
complains "cache without a word" 2 "list, verify and clear"
run_it "$exaone" run hi --greedy -n 4 --no-think --cache-dir "$work/document"
if [ "$code" -eq 0 ] && grep -q "without a cache" "$work/err"; then pass "a file as folder: goes on without"; else fail "a file as folder"; fi
exit $failed
