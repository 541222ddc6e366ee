"""Writes a training checkpoint as a Hugging Face folder in the spelling of the released model.

python export.py CHECKPOINT OUT_DIR        weights as bf16 safetensors, configuration, processor and template files
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tiny_model import Config

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../models/tiny/chat_template.jinja")
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
PIXELS = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "resample": 3,
    "rescale_factor": 1 / 255,
    **CLIP,
    "patch_size": 14,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 3136, "longest_edge": 3211264},
}


def config_json(c: Config):
    return {
        "architectures": ["Exaone4_5_ForConditionalGeneration"],
        "model_type": "exaone4_5",
        "image_token_id": 67,
        "video_token_id": 68,
        "vision_token_id": 67,
        "vision_start_token_id": 73,
        "vision_end_token_id": 74,
        "vocab_size": c.vocab_size,
        "tie_word_embeddings": False,
        "text_config": {
            "architectures": ["Exaone4ForCausalLM"],
            "model_type": "exaone4_5_text",
            "dtype": "bfloat16",
            "vocab_size": c.vocab_size,
            "hidden_size": c.hidden_size,
            "intermediate_size": c.intermediate_size,
            "num_hidden_layers": c.num_hidden_layers,
            "num_attention_heads": c.num_attention_heads,
            "num_key_value_heads": c.num_key_value_heads,
            "hidden_act": "silu",
            "rms_norm_eps": c.rms_norm_eps,
            "max_position_embeddings": 16384,
            "initializer_range": 0.02,
            "attention_dropout": 0.0,
            "use_cache": True,
            "bos_token_id": 1,
            "eos_token_id": 53,
            "pad_token_id": 0,
            "sliding_window": c.sliding_window,
            "sliding_window_pattern": "LLLG",
            "layer_types": [
                "sliding_attention" if c.is_sliding(i) else "full_attention" for i in range(c.num_hidden_layers)
            ],
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": c.rope_factor,
                "low_freq_factor": c.rope_low,
                "high_freq_factor": c.rope_high,
                "original_max_position_embeddings": c.rope_original,
                "rope_theta": c.rope_theta,
            },
            "num_nextn_predict_layers": 1,
            "_num_mtp_layers": 1,
            "mtp_share_layers": True,
            "mtp_loss_scaling_factor": 0.05,
            "tie_word_embeddings": False,
        },
        "vision_config": {
            "model_type": "exaone4_5_vision",
            "depth": c.v_depth,
            "hidden_size": c.v_hidden,
            "intermediate_size": c.v_intermediate,
            "num_heads": c.v_heads,
            "num_key_value_heads": c.v_kv_heads,
            "hidden_act": "silu",
            "in_channels": 3,
            "patch_size": c.v_patch,
            "spatial_merge_size": c.v_merge,
            "temporal_patch_size": c.v_temporal,
            "tokens_per_second": 2,
            "window_size": c.v_window,
            "fullatt_block_indexes": list(c.v_full),
            "out_hidden_size": c.hidden_size,
            "initializer_range": 0.02,
        },
        "dtype": "bfloat16",
        "transformers_version": "5.23.0",
    }


def export(state, out, c=Config()):
    os.makedirs(out, exist_ok=True)
    save_file(
        {k: v.to(torch.bfloat16).contiguous() for k, v in state.items()},
        os.path.join(out, "model.safetensors"),
        metadata={"format": "pt"},
    )
    files = {
        "config.json": config_json(c),
        # greedy by default and no presence penalty: this model has one right answer, and digits repeat
        "generation_config.json": {
            "bos_token_id": 1,
            "eos_token_id": 53,
            "pad_token_id": 0,
            "do_sample": False,
            "presence_penalty": 0.0,
            "use_cache": True,
            "transformers_version": "5.23.0",
        },
        "preprocessor_config.json": {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Exaone4_5_Processor",
            **PIXELS,
        },
        "video_preprocessor_config.json": {
            "video_processor_type": "Qwen2VLVideoProcessor",
            "processor_class": "Exaone4_5_Processor",
            **PIXELS,
            "min_frames": 4,
            "max_frames": 768,
            "do_sample_frames": False,
        },
        "processor_config.json": {"processor_class": "Exaone4_5_Processor"},
    }
    for name, j in files.items():
        json.dump(j, open(os.path.join(out, name), "w"), indent=2)
    copy = os.path.join(out, "chat_template.jinja")
    if not os.path.exists(copy) or not os.path.samefile(TEMPLATE, copy):
        shutil.copy(TEMPLATE, copy)


if __name__ == "__main__":
    ck = torch.load(sys.argv[1], map_location="cpu")
    export(ck["model"], sys.argv[2])
    print("exported step", ck.get("step"), "to", sys.argv[2])
