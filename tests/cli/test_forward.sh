#!/usr/bin/env bash
# Every fixture of tests/golden/model through `exaone forward`, with the commands of docs/forward.md. The bound: the reference's own
# f32 results differ from its f64 ones by up to 7e-6 here (precision.md; margins of drafts, small differences of large numbers, by
# 2e-5), and a wrong stage differs by 1e-2 or more (controls.md); 1e-4 stands between. Tighter bounds per tensor are in tests/model.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
same=${BUILD:-build}/tests/tools/sametensors
inputs="input_ids attention_mask inputs_embeds labels num_items_in_batch calls keep_index keep_index_2d keep_last keep_mask_2d
    position_ids gap.position_ids restart.position_ids shifted.position_ids pixel_values image_grid_thw pixel_values_videos
    video_grid_thw image.* video.*"
set -f

# forward NAME FOLDER FIXTURE PREFIX OPTIONS...: one run, compared with the fixture's tensors of that prefix
forward() {
    local name=$1 folder=tests/golden/model/$2 fixture=$3 prefix=$4
    shift 4
    run_it "$exaone" forward -m "$folder/checkpoint" --in "$folder/stages/$fixture.safetensors" --out "$work/out.safetensors" \
        --stages all "$@"
    [ $code -eq 0 ] || { fail "$name" && return; }
    # shellcheck disable=SC2086 # a list
    run_it "$same" "$work/out.safetensors" "$folder/stages/$fixture.safetensors" "$prefix" 1e-4 $inputs
    if [ $code -eq 0 ]; then pass "$name"; else fail "$name"; fi
}

for model in micro nano; do
    for fixture in vision_1x12x10 vision_1x20x2_tall vision_1x8x8 vision_2x8x10_video vision_two_images text batch positions loss \
        cache multimodal_image_video multimodal_video_two_images; do
        [ -e tests/golden/model/$model/stages/$fixture.safetensors ] || continue
        forward "$model $fixture" $model $fixture ""
    done
    for fixture in mtp mtp_multimodal; do
        forward "$model $fixture" $model $fixture "" --mtp
    done
    if [ $model = micro ]; then n=48 at_least=33 stop=450; else n=32 at_least=16 stop=131; fi
    forward "$model text_greedy" $model generate text_greedy. --prefix text. --greedy $n
    forward "$model text_repetition" $model generate text_repetition. --prefix text. --greedy $n --repetition-penalty 1.3
    forward "$model text_presence" $model generate text_presence. --prefix text. --greedy $n --presence-penalty 1.5
    forward "$model text_penalties" $model generate text_penalties. --prefix text. --greedy $n --repetition-penalty 1.05 \
        --presence-penalty 3 --min-new-tokens $n
    forward "$model multimodal_greedy" $model generate multimodal_greedy. --prefix multimodal. --greedy $n
    forward "$model multimodal_presence" $model generate multimodal_presence. --prefix multimodal. --greedy $n \
        --presence-penalty 1.5
    forward "$model eos" $model generate eos. --prefix ends. --greedy $n
    forward "$model eos_min_new_tokens" $model generate eos_min_new_tokens. --prefix ends. --greedy $n --min-new-tokens $at_least
    forward "$model eos_two" $model generate eos_two. --prefix ends. --greedy $n --stop-id 53 --stop-id $stop
    forward "$model batch" $model generate batch. --prefix batch. --greedy $n
done

# controls: a missing penalty, other positions and a dropped mask must show
control() {
    local name=$1 before=$failed
    shift
    forward "$@" >"$work/report"
    if grep -q '^not ok' "$work/report" && grep -q ' differs$' "$work/report"; then
        pass "control: $name"
        failed=$before
    else
        fail "control: $name"
    fi
}
control "no penalty" x micro generate text_penalties. --prefix text. --greedy 48
control "no mask" x micro batch "" --drop attention_mask
control "other positions" x micro text "" --map position_ids=input_ids

# selection of stages
run_it "$exaone" forward -m tests/golden/model/nano/checkpoint --in tests/golden/model/nano/stages/text.safetensors \
    --out "$work/out.safetensors" --stages logits
names=$(head -c 4096 "$work/out.safetensors" | tr -d '\0' | grep -ao '"[a-z_.0-9]*":{"dtype"' | tr -d '\n')
if [ "$names" = '"logits":{"dtype"' ]; then pass "--stages logits"; else fail "--stages logits"; fi
rm "$work/out.safetensors"
for list in bogus logits,layer.99.output logit layers.; do
    run_it "$exaone" forward -m tests/golden/model/nano/checkpoint --in tests/golden/model/nano/stages/text.safetensors \
        --out "$work/out.safetensors" --stages $list
    complains "--stages $list" 2 "--stages: no stage of this call is named \"${list#logits,}\""
    if [ -e "$work/out.safetensors" ]; then fail "--stages $list writes nothing"; else pass "--stages $list writes nothing"; fi
done
run_it "$exaone" forward -m tests/golden/model/nano/checkpoint --in tests/golden/model/nano/stages/text.safetensors \
    --out "$work/out.safetensors" --stages logits,loss,attentions,block.,features.*
if [ $code -eq 0 ]; then pass "known stages that this call has not"; else fail "known stages that this call has not"; fi
run_it "$exaone" forward -m tests/golden/model/nano/checkpoint --in tests/golden/model/nano/stages/text.safetensors \
    --out "$work/out.safetensors" --map input_ids=none
complains "--map of a tensor that is not there" 1 "none"
exit $failed
