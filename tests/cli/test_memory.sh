#!/usr/bin/env bash
# The KV cache's types on the command line, and contexts that the machine cannot hold.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# A copy that allows contexts whose cache is larger than any machine's memory.
cp -r models/tiny "$work/long"
sed -i 's/"max_position_embeddings": 16384/"max_position_embeddings": 1073741824/' "$work/long/config.json"

run_it "$exaone" run -m "$work/long" --greedy --ctx 1000000000 "Hello"
complains "a context that does not fit" 1 "a context of 1000000000 tokens needs 10"
complains "with the part of the cache" 1 "(1024.00 GB KV cache"
complains "it names what there is" 1 " GB left; take less with --ctx"
run_it "$exaone" run -m "$work/long" --greedy --ctx 1000000000 --cache-type-k q8_0 --cache-type-v f32 "Hello"
complains "smaller and larger types" 1 "(1296.00 GB KV cache"
run_it "$exaone" eval -m "$work/long" --cases tests/eval/tiny/cases.jsonl --ctx 1000000000
complains "eval checks too" 1 "a context of 1000000000 tokens needs"
run_it "$exaone" run --greedy --ctx 20000 "Hello"
complains "more than the model's limit" 1 "context of 20000 tokens: the model's limit is 16384"

run_it "$exaone" inspect models/tiny --ctx 16384 --cache-type-k f32 --cache-type-v q8_0
expect "inspect: the type of the keys" 0 "cache_type_k                     f32"
expect "inspect: full layers" 0 "kv_cache_full_layers_bytes       21233664 " # 2 layers x 16384 x 2 heads x (256 + 68)
run_it "$exaone" inspect models/tiny --ctx 16384
expect "inspect: the default is f16" 0 "kv_cache_full_layers_bytes       16777216 "

for command in "run Hello" "eval --cases tests/eval/tiny/cases.jsonl" "inspect models/tiny" "chat"; do
    # shellcheck disable=SC2086
    run_it "$exaone" $command --cache-type-v q4_0
    complains "${command%% *}: an unknown type" 2 "--cache-type-v q4_0: want f32, f16, bf16 or q8_0"
done
for type in f32 f16 bf16 q8_0; do
    run_it "$exaone" run --greedy --cache-type-k $type --cache-type-v $type "7 + 9"
    expect "an answer with $type" 0 '\boxed{16}'
done
exit $failed
