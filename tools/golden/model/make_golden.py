#!/usr/bin/env python3
"""Makes golden data for an EXAONE 4.5 engine by running the reference (Hugging Face transformers).

    make_golden.py --recipe recipe_micro.json --out .            write checkpoint and fixtures
    make_golden.py --recipe recipe_micro.json --out . --verify   load everything back and recompute it

A recipe file fixes everything: the checkpoint's config.json, the seed, the grids, the prompt lengths.  From it this
script writes

    OUT/NAME/checkpoint/  exactly as a user would download it (random weights, bf16, two shards, mtp.*)
    OUT/NAME/variants/    other spellings of the same config.json
    OUT/NAME/stages/      inputs and outputs of every stage (safetensors), their list (TENSORS.md), distances (precision.*)

All numbers in the fixtures are the reference's own, computed in fp32 with eager attention on the bf16 weights of the
checkpoint.  The reference is run three more times to learn what "equal" can mean: in fp64 (with the reference's
hard-coded casts to fp32 lifted), in fp32 with its other attention (sdpa), and in bf16.

tests/golden/model/README.md explains the files to somebody who does not read Python.
"""

import argparse
import contextlib
import copy
import fnmatch
import hashlib
import json
import math
import os
import re
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import torch.nn.functional as F
import transformers
import transformers.models.exaone4.modeling_exaone4 as text_code
import transformers.models.exaone4_5.modeling_exaone4_5 as vl_code
from safetensors.torch import load_file, save_file
from transformers import Exaone4_5_ForConditionalGeneration, GenerationConfig
from transformers.cache_utils import DynamicCache
from transformers.generation import LogitsProcessor, LogitsProcessorList, RepetitionPenaltyLogitsProcessor
from transformers.masking_utils import create_sliding_window_causal_mask
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids, get_vision_window_index

torch.set_num_threads(1)
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

# Token ids with a meaning in EXAONE 4.5.  79 stands for the newline token; nothing depends on it.
USER, ASSISTANT, END_OF_TURN, THINK = 51, 52, 53, 54
IMAGE_PAD, VIDEO_PAD, VISION_START, VISION_END = 67, 68, 73, 74
NEWLINE = 79
FIRST_ORDINARY = 80


def random(recipe, name):
    """An independent, reproducible random stream per name: adding a tensor never changes another one."""
    digest = hashlib.sha256(f"{recipe['seed']}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


# ------------------------------------------------------------------------------------------------ checkpoint


def tensor_list(recipe):
    """Every tensor of the checkpoint: name -> (shape, mean, std).

    The spreads are chosen so that each tensor matters and each easy mistake shows:
      - scores have a spread of 1.5 to 2, so attention is neither uniform nor one-hot;
      - the vectors that go into q_norm, k_norm and the post norms are small (rms about 0.1), so that the eps of the
        norm (1e-5) changes results by about 5e-4; the same for the first vision norms and their 1e-6;
      - logits spread by about 3, image features are as large as embeddings.
    """
    t, v = recipe["config"]["text_config"], recipe["config"]["vision_config"]
    hidden, inter = t["hidden_size"], t["intermediate_size"]
    head_dim = t.get("head_dim") or hidden // t["num_attention_heads"]
    q_dim, kv_dim = t["num_attention_heads"] * head_dim, t["num_key_value_heads"] * head_dim
    out = OrderedDict()

    def decoder_layer(prefix):
        out[f"{prefix}.self_attn.q_proj.weight"] = ((q_dim, hidden), 0, 0.1 / math.sqrt(hidden))
        out[f"{prefix}.self_attn.k_proj.weight"] = ((kv_dim, hidden), 0, 0.1 / math.sqrt(hidden))
        out[f"{prefix}.self_attn.v_proj.weight"] = ((kv_dim, hidden), 0, 1.0 / math.sqrt(hidden))
        out[f"{prefix}.self_attn.o_proj.weight"] = ((hidden, q_dim), 0, 0.15 / math.sqrt(q_dim))
        out[f"{prefix}.self_attn.q_norm.weight"] = ((head_dim,), 1.3, 0.3)
        out[f"{prefix}.self_attn.k_norm.weight"] = ((head_dim,), 1.3, 0.3)
        out[f"{prefix}.mlp.gate_proj.weight"] = ((inter, hidden), 0, 1.0 / math.sqrt(hidden))
        out[f"{prefix}.mlp.up_proj.weight"] = ((inter, hidden), 0, 1.0 / math.sqrt(hidden))
        out[f"{prefix}.mlp.down_proj.weight"] = ((hidden, inter), 0, 0.15 / math.sqrt(inter))
        out[f"{prefix}.post_attention_layernorm.weight"] = ((hidden,), 1.0, 0.25)
        out[f"{prefix}.post_feedforward_layernorm.weight"] = ((hidden,), 1.0, 0.25)

    out["lm_head.weight"] = ((t["vocab_size"], hidden), 0, 3.0 / math.sqrt(hidden))
    out["model.language_model.embed_tokens.weight"] = ((t["vocab_size"], hidden), 0, 1.0)
    for n in range(t["num_hidden_layers"]):
        decoder_layer(f"model.language_model.layers.{n}")
    out["model.language_model.norm.weight"] = ((hidden,), 1.0, 0.25)

    dim, mlp, merge = v["hidden_size"], v["intermediate_size"], v["spatial_merge_size"] ** 2
    patch = v["in_channels"] * v["temporal_patch_size"] * v["patch_size"] ** 2
    qkv = dim + 2 * v["num_key_value_heads"] * (dim // v["num_heads"])
    patch_shape = (dim, v["in_channels"], v["temporal_patch_size"], v["patch_size"], v["patch_size"])
    out["model.visual.patch_embed.proj.weight"] = (patch_shape, 0, 0.2 / math.sqrt(patch))
    for n in range(v["depth"]):
        block = f"model.visual.blocks.{n}"
        out[f"{block}.norm1.weight"] = ((dim,), 1.0, 0.25)
        out[f"{block}.norm2.weight"] = ((dim,), 1.0, 0.25)
        out[f"{block}.attn.qkv.weight"] = ((qkv, dim), 0, 1.3 / math.sqrt(dim))
        out[f"{block}.attn.qkv.bias"] = ((qkv,), 0, 0.3)
        out[f"{block}.attn.proj.weight"] = ((dim, dim), 0, 0.4 / math.sqrt(dim))
        out[f"{block}.attn.proj.bias"] = ((dim,), 0, 0.05)
        out[f"{block}.mlp.gate_proj.weight"] = ((mlp, dim), 0, 1.1 / math.sqrt(dim))
        out[f"{block}.mlp.gate_proj.bias"] = ((mlp,), 0, 0.2)
        out[f"{block}.mlp.up_proj.weight"] = ((mlp, dim), 0, 1.1 / math.sqrt(dim))
        out[f"{block}.mlp.up_proj.bias"] = ((mlp,), 0, 0.2)
        out[f"{block}.mlp.down_proj.weight"] = ((dim, mlp), 0, 0.25 / math.sqrt(mlp))
        out[f"{block}.mlp.down_proj.bias"] = ((dim,), 0, 0.05)
    out["model.visual.merger.ln_q.weight"] = ((dim,), 1.0, 0.25)
    out["model.visual.merger.mlp.0.weight"] = ((merge * dim, merge * dim), 0, 1.3 / math.sqrt(merge * dim))
    out["model.visual.merger.mlp.0.bias"] = ((merge * dim,), 0, 0.2)
    out["model.visual.merger.mlp.2.weight"] = ((v["out_hidden_size"], merge * dim), 0, 1.4 / math.sqrt(merge * dim))
    out["model.visual.merger.mlp.2.bias"] = ((v["out_hidden_size"],), 0, 0.2)

    out["mtp.fc.weight"] = ((hidden, 2 * hidden), 0, 1.0 / math.sqrt(2 * hidden))
    decoder_layer("mtp.layers.0")
    out["mtp.norm.weight"] = ((hidden,), 1.0, 0.25)
    out["mtp.pre_fc_norm_embedding.weight"] = ((hidden,), 1.0, 0.25)
    out["mtp.pre_fc_norm_hidden.weight"] = ((hidden,), 1.0, 0.25)
    return out


def write_checkpoint(recipe, folder):
    """config.json, generation_config.json and two safetensors shards with their index, as save_pretrained names them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", recipe["config"])
    write_json(folder / "generation_config.json", recipe["generation_config"])
    tensors = OrderedDict()
    for name, (shape, mean, std) in tensor_list(recipe).items():
        values = mean + std * random(recipe, name).standard_normal(shape)
        tensors[name] = torch.from_numpy(values).to(torch.float32).to(torch.bfloat16)
    total = sum(t.numel() * 2 for t in tensors.values())
    shards, size = [OrderedDict(), OrderedDict()], 0
    for name, tensor in tensors.items():  # the first half of the bytes goes into the first shard
        shards[0 if size < total // 2 else 1][name] = tensor
        size += tensor.numel() * 2
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-00002.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        weight_map.update({name: file for name in shard})
    index = {
        "metadata": {"total_parameters": total // 2, "total_size": total},
        "weight_map": dict(sorted(weight_map.items())),
    }
    write_json(folder / "model.safetensors.index.json", index)


def read_checkpoint(folder):
    tensors = {}
    for file in sorted(folder.glob("model-*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def variant_configs(recipe):
    """Other spellings of the same configuration that exist in the wild: each must give the same numbers."""
    base = recipe["config"]
    rope = base["text_config"]["rope_scaling"]

    def edit(**changes):
        config = copy.deepcopy(base)
        for key, value in changes.items():
            if value is None:
                del config["text_config"][key]
            else:
                config["text_config"][key] = value
        return config

    without_theta = {k: v for k, v in rope.items() if k != "rope_theta"}
    return {
        "extra_layer_type": edit(layer_types=base["text_config"]["layer_types"] + ["sliding_attention"]),
        "pattern_only": edit(layer_types=None),
        "theta_outside": edit(rope_scaling=without_theta, rope_theta=rope["rope_theta"]),
        "rope_parameters": edit(rope_scaling=None, rope_parameters=rope),
        "text_type_exaone4": edit(model_type="exaone4"),
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


# ------------------------------------------------------------------------------------------------ the reference


class Mtp(torch.nn.Module):
    """The MTP draft module built from the reference's own decoder layer; transformers has none.

    e = RMS(embed[token t+1]) * pre_fc_norm_embedding        g = RMS(h_t) * pre_fc_norm_hidden
    z = fc(concat[e, g])          z = decoder_layer(z), sliding window and RoPE          m = RMS(z) * norm
    """

    def __init__(self, text_config, tensors, dtype):
        super().__init__()
        config = copy.deepcopy(text_config)
        config.num_hidden_layers, config.layer_types = 1, ["sliding_attention"]
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.config = config
        self.fc = torch.nn.Linear(2 * hidden, hidden, bias=False)
        self.layers = torch.nn.ModuleList([text_code.Exaone4DecoderLayer(config, 0)])
        self.norm = text_code.Exaone4RMSNorm(hidden, eps)
        self.pre_fc_norm_embedding = text_code.Exaone4RMSNorm(hidden, eps)
        self.pre_fc_norm_hidden = text_code.Exaone4RMSNorm(hidden, eps)
        mine = {k[len("mtp.") :]: v.to(dtype) for k, v in tensors.items() if k.startswith("mtp.")}
        self.to(dtype).load_state_dict(mine, strict=True)
        self.rotary_emb = text_code.Exaone4RotaryEmbedding(config)

    def forward(self, hidden, embeds, position_ids, cache=None):
        """hidden, embeds [1, n, hidden_size]; returns (fc input, fc output, layer output, m), each [1, n, …]."""
        e, g = self.pre_fc_norm_embedding(embeds), self.pre_fc_norm_hidden(hidden)
        joined = torch.cat([e, g], dim=-1)
        z = self.fc(joined)
        mask = create_sliding_window_causal_mask(
            config=self.config, inputs_embeds=z, attention_mask=None, past_key_values=cache, position_ids=position_ids
        )
        out = self.layers[0](
            z, attention_mask=mask, position_embeddings=self.rotary_emb(z, position_ids), past_key_values=cache
        )
        return joined, z, out, self.norm(out)


class Engine:
    """The reference model in one precision and with one attention implementation."""

    def __init__(self, folder, dtype=torch.float32, attention="eager"):
        self.dtype, self.attention = dtype, attention
        load = torch.float32 if dtype == torch.float64 else dtype
        self.model, info = Exaone4_5_ForConditionalGeneration.from_pretrained(
            folder, dtype=load, attn_implementation=attention, output_loading_info=True
        )
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            assert not info.get(kind), (kind, info[kind])
        tensors = read_checkpoint(folder)
        for name, parameter in self.model.state_dict().items():  # loaded as they are in the file, pad row included
            assert torch.equal(parameter, tensors[name].to(load)), name
        self.model.eval()
        self.text, self.visual = self.model.model.language_model, self.model.model.visual
        if dtype == torch.float64:
            self.model.to(dtype)
        else:  # never .to(bfloat16) a loaded model: that rounds inv_freq too, which from_pretrained keeps in fp32
            assert self.text.rotary_emb.inv_freq.dtype == self.visual.rotary_pos_emb.inv_freq.dtype == torch.float32
        self.mtp = Mtp(self.text.config, tensors, dtype).eval()
        self.mtp.config._attn_implementation = attention
        if dtype == torch.float64:
            self.model.loss_function = loss64

    def run(self, compute, inputs):
        with patched_to_64() if self.dtype == torch.float64 else contextlib.nullcontext():
            return compute(self, inputs)

    def logits(self, hidden):
        return self.model.lm_head(hidden)

    def cast(self, tensor):
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def loss64(logits, labels, vocab_size, num_items_in_batch=None, **_):
    shifted = F.pad(labels, (0, 1), value=-100)[..., 1:].reshape(-1)
    how = "mean" if num_items_in_batch is None else "sum"
    loss = F.cross_entropy(logits.reshape(-1, vocab_size), shifted, ignore_index=-100, reduction=how)
    return loss if num_items_in_batch is None else loss / num_items_in_batch


@contextlib.contextmanager
def replaced(*changes):
    """Temporarily sets attributes: (object, name, value)."""
    old = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in old:
            setattr(owner, name, value)


def patched_to_64():
    """Lifts the casts to fp32 that the reference hard-codes, so that an fp64 run is fp64 from end to end."""

    def rms(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def text_rope(self, x, position_ids):
        angle = position_ids[..., None].double() * torch.tensor(llama3_frequencies(self.config))
        angle = torch.cat([angle, angle], dim=-1)
        return angle.cos(), angle.sin()

    def vision_rope(self, x, position_ids):
        angle = position_ids[..., None].double() * torch.tensor(vision_frequencies(self.config))
        return self.recomposition_frequencies(angle.cos()), self.recomposition_frequencies(angle.sin())

    def rotate(q, k, cos, sin):
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        return q * cos + vl_code.rotate_half(q) * sin, k * cos + vl_code.rotate_half(k) * sin

    def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        key = text_code.repeat_kv(key, module.num_key_value_groups)
        value = text_code.repeat_kv(value, module.num_key_value_groups)
        scores = torch.matmul(query, key.transpose(2, 3)) * scaling
        probs = torch.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
        return torch.matmul(probs, value).transpose(1, 2).contiguous(), probs

    return replaced(
        (text_code.Exaone4RMSNorm, "forward", rms),
        (vl_code.Exaone4_5_RMSNorm, "forward", rms),
        (text_code.Exaone4RotaryEmbedding, "forward", text_rope),
        (vl_code.Exaone4_5_VisionRotaryEmbedding, "forward", vision_rope),
        (vl_code, "apply_rotary_pos_emb_vision", rotate),
        (text_code, "eager_attention_forward", attention),
        (vl_code, "eager_attention_forward", attention),
    )


def llama3_frequencies(config):
    """The llama3 rule in fp64."""
    rope = config.rope_parameters
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    out = []
    for i in range(dim // 2):
        f = rope["rope_theta"] ** (-2.0 * i / dim)
        wavelength, length = 2 * math.pi / f, rope["original_max_position_embeddings"]
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        if wavelength > length / low:
            f /= rope["factor"]
        elif wavelength >= length / high:
            s = (length / wavelength - low) / (high - low)
            f = (1 - s) * f / rope["factor"] + s * f
        out.append(f)
    return np.array(out)


def vision_frequencies(config):
    """Row and column angles in fp64."""
    half = config.hidden_size // config.num_heads // 2
    return np.array([10000.0 ** (-2.0 * k / half) for k in range(half // 2)])


@contextlib.contextmanager
def recording(engine):
    """Records what the reference does not return.  Yields a dict: (kind, module) -> list of tensors.

    Kinds: 'out' (a module's output) for every submodule, 'q', 'k', 'v', 'probs' for attention modules (eager only).
    """
    seen, handles = {}, []

    def hook(module, _args, output):
        seen.setdefault(("out", module), []).append(output[0] if isinstance(output, tuple) else output)

    for root in (engine.model, engine.mtp):
        handles += [m.register_forward_hook(hook) for m in root.modules()]

    def wrap(function):
        def attention(module, query, key, value, *args, **kwargs):
            output, probs = function(module, query, key, value, *args, **kwargs)
            for kind, tensor in (("q", query), ("k", key), ("v", value), ("probs", probs)):
                seen.setdefault((kind, module), []).append(tensor)
            return output, probs

        return attention

    try:
        with replaced(
            (text_code, "eager_attention_forward", wrap(text_code.eager_attention_forward)),
            (vl_code, "eager_attention_forward", wrap(vl_code.eager_attention_forward)),
        ):
            yield seen
    finally:
        for handle in handles:
            handle.remove()


# ------------------------------------------------------------------------------------------------ inputs


def picture(stream, height, width):
    """A small RGB image with smooth parts, edges and noise: uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.empty((height, width, 3))
    for c in range(3):
        fx, fy, phase = stream.uniform(0.5, 3, 3)
        wave = np.sin(2 * np.pi * (fx * x / width + fy * y / height) + phase)
        checks = ((x // stream.integers(5, 20) + y // stream.integers(5, 20)) % 2) * 2 - 1
        image[..., c] = stream.uniform(90, 160) + 60 * wave + 25 * checks + stream.normal(0, 15, (height, width))
    return image.clip(0, 255).astype(np.uint8)


def make_pixels(recipe, label, images=(), videos=()):
    """Pictures of exactly the wanted grids, through the reference's processors (no resize needed).

    Returns fixture inputs: image.N.rgb, video.N.frames, and the processors' pixel_values and grids.
    """
    patch = recipe["config"]["vision_config"]["patch_size"]
    inputs = OrderedDict()
    if images:
        pictures = []
        for i, (_, h, w) in enumerate(images):
            pictures.append(picture(random(recipe, f"{label}/image{i}"), h * patch, w * patch))
            inputs[f"image.{i}.rgb"] = torch.from_numpy(pictures[-1])
        # one image per call: the processor gives the same rows, and images of different size may be mixed
        made = [Qwen2VLImageProcessor(do_resize=False)(images=[p], return_tensors="pt") for p in pictures]
        inputs["image_grid_thw"] = torch.cat([m["image_grid_thw"] for m in made])
        inputs["pixel_values"] = torch.cat([m["pixel_values"] for m in made])
        assert inputs["image_grid_thw"].tolist() == [list(g) for g in images]
    if videos:
        clips = []
        for i, (t, h, w) in enumerate(videos):
            stream = random(recipe, f"{label}/video{i}")
            clips.append(np.stack([picture(stream, h * patch, w * patch) for _ in range(2 * t)]))
            inputs[f"video.{i}.frames"] = torch.from_numpy(clips[-1])
        process = Qwen2VLVideoProcessor(do_resize=False, do_sample_frames=False)
        made = [process(videos=[torch.from_numpy(c).permute(0, 3, 1, 2)], return_tensors="pt") for c in clips]
        inputs["video_grid_thw"] = torch.cat([m["video_grid_thw"] for m in made])
        inputs["pixel_values_videos"] = torch.cat([m["pixel_values_videos"] for m in made])
        assert inputs["video_grid_thw"].tolist() == [list(g) for g in videos]
    check_patches(inputs)
    return inputs


def check_patches(inputs):
    """The processors' rows are what docs/model.md says (so that it is enough to reproduce pixel_values)."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]) * 255
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]) * 255
    for kind, rows_name in (("image", "pixel_values"), ("video", "pixel_values_videos")):
        rows = []
        for name in sorted(n for n in inputs if re.fullmatch(kind + r"\.\d+\.\w+", n)):
            frames = inputs[name].float()
            frames = torch.stack([frames, frames]) if kind == "image" else frames
            f, h, w, _ = frames.shape
            p = ((frames - mean) / std).reshape(f // 2, 2, h // 28, 2, 14, w // 28, 2, 14, 3)
            #                                    t      tp  bh     mh ph  bw      mw pw  c
            rows.append(p.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 1176))
        if rows:
            worst = (torch.cat(rows) - inputs[rows_name]).abs().max().item()
            assert worst < 1e-6, worst


def ordinary(recipe, label, count):
    return random(recipe, label).integers(FIRST_ORDINARY, recipe["config"]["text_config"]["vocab_size"], count).tolist()


def text_prompt(recipe, label, length):
    """A user turn of `length` ids.  Holds ids 0 and 1 and the last one of the vocabulary too: they are rows like others."""
    head, tail = [USER, NEWLINE], [END_OF_TURN, NEWLINE, ASSISTANT, NEWLINE, THINK, NEWLINE]
    body = ordinary(recipe, label, length - len(head) - len(tail))
    if len(body) > 6:
        body[2], body[4], body[5] = 0, recipe["config"]["text_config"]["vocab_size"] - 1, 1
    return torch.tensor([(head + body + tail)[:length]])


def multimodal_prompt(recipe, case):
    """A user turn with images and videos as the processor lays them out: <vision> N pads </vision> newline."""
    ids, images, videos = [USER, NEWLINE], [], []
    for i, (kind, what) in enumerate(case["parts"]):
        if kind == "text":
            ids += ordinary(recipe, f"{case['name']}/text{i}", what)
        else:
            pad = IMAGE_PAD if kind == "image" else VIDEO_PAD
            (images if kind == "image" else videos).append(what)
            ids += [VISION_START] + [pad] * (what[0] * what[1] * what[2] // 4) + [VISION_END, NEWLINE]
    ids += [END_OF_TURN, NEWLINE, ASSISTANT, NEWLINE, THINK, NEWLINE]
    inputs = OrderedDict(input_ids=torch.tensor([ids]))
    inputs.update(make_pixels(recipe, case["name"], images, videos))
    return inputs


# ------------------------------------------------------------------------------------------------ stages
#
# A stage is (inputs, compute).  compute(engine, inputs) runs the reference and returns the outputs by name.  It is run
# by every Engine, and again at verification with the inputs read back from the file.


def row_major(heads_first):
    """[…, heads, rows, head_dim] -> […, rows, heads, head_dim], the order a linear layer writes."""
    return heads_first.transpose(-2, -3).contiguous()


def vision_stage(engine, inputs):
    visual, out = engine.visual, OrderedDict()
    pixels = torch.cat([inputs[n] for n in ("pixel_values", "pixel_values_videos") if n in inputs])
    grid = torch.cat([inputs[n] for n in ("image_grid_thw", "video_grid_thw") if n in inputs])
    out["position_ids"] = get_vision_position_ids(grid, visual.spatial_merge_size)
    out["window_index"], out["cu_window_seqlens"] = get_vision_window_index(
        grid, visual.spatial_merge_size, visual.window_size, visual.patch_size
    )
    out["cu_seqlens"] = get_vision_cu_seqlens(grid)
    out["rope.inv_freq"] = visual.rotary_pos_emb.inv_freq
    out["rope.cos"], out["rope.sin"] = visual.rotary_pos_emb(pixels, out["position_ids"])
    with recording(engine) as seen:
        if "video_grid_thw" in inputs:
            result = engine.model.get_video_features(engine.cast(pixels), grid)
        else:
            result = engine.model.get_image_features(engine.cast(pixels), grid)
    out["patch_embed"] = seen["out", visual.patch_embed][0]
    for i, block in enumerate(visual.blocks):
        if i < 2 or i in visual.fullatt_block_indexes:
            for kind in "qkv":
                if (kind, block.attn) in seen:  # one call per segment
                    out[f"block.{i}.attn.{kind}"] = torch.cat([row_major(t[0]) for t in seen[kind, block.attn]])
            out[f"block.{i}.attn.output"] = seen["out", block.attn][0]
        out[f"block.{i}.output"] = seen["out", block][0]
    out["merger.ln_q"] = seen["out", visual.merger.ln_q][0]
    out["merger.gelu"] = seen["out", visual.merger.mlp[1]][0]
    out["merger.output"] = seen["out", visual.merger][0]
    assert torch.equal(result.last_hidden_state, out[f"block.{len(visual.blocks) - 1}.output"])
    for i, features in enumerate(result.pooler_output):
        out[f"features.{i}"] = features
    return out


def text_stage(detail_layers):
    def compute(engine, inputs):
        text, out = engine.text, OrderedDict()
        ids = inputs["input_ids"]
        out["rope.inv_freq"] = text.rotary_emb.inv_freq
        cos, sin = text.rotary_emb(torch.zeros(1, dtype=engine.dtype), torch.arange(ids.shape[1])[None])
        out["rope.cos"], out["rope.sin"] = cos[0], sin[0]
        with recording(engine) as seen:
            result = engine.model(
                input_ids=ids, use_cache=False, output_hidden_states=True, output_attentions=engine.attention == "eager"
            )
        out["embeddings"] = seen["out", text.embed_tokens][0]
        for n, layer in enumerate(text.layers):
            if n in detail_layers:
                attention = layer.self_attn
                for kind in "qkv":
                    if (kind, attention) in seen:
                        out[f"layer.{n}.attn.{kind}"] = row_major(seen[kind, attention][0])
                if ("probs", attention) in seen:
                    out[f"layer.{n}.attn.probs"] = seen["probs", attention][0]
                    assert torch.equal(result.attentions[n], out[f"layer.{n}.attn.probs"])
                out[f"layer.{n}.attn.output"] = seen["out", attention][0]
                out[f"layer.{n}.attn.normed"] = seen["out", layer.post_attention_layernorm][0]
                out[f"layer.{n}.mlp.output"] = seen["out", layer.mlp][0]
                out[f"layer.{n}.mlp.normed"] = seen["out", layer.post_feedforward_layernorm][0]
            out[f"layer.{n}.output"] = seen["out", layer][0]
        out["final_norm"] = seen["out", text.norm][0]
        out["logits"] = result.logits
        # What the reference returns as hidden_states: embeddings, layers 0 … L-2, and last the normed output.
        expected = (
            [out["embeddings"]] + [out[f"layer.{n}.output"] for n in range(len(text.layers) - 1)] + [out["final_norm"]]
        )
        assert len(result.hidden_states) == len(expected)
        for have, want in zip(result.hidden_states, expected):
            assert torch.equal(have, want)
        out["hidden_states"] = torch.stack(result.hidden_states)[:, 0]
        return out

    return compute


def batch_stage(engine, inputs):
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    result = engine.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    live = mask[..., None].to(result.logits.dtype)
    for row in range(len(ids)):  # padding must not matter
        n = int(mask[row].sum())
        alone = engine.model(input_ids=ids[row : row + 1, -n:]).logits[0]
        close(alone, result.logits[row, -n:], engine, "left padding")
    return OrderedDict(logits=result.logits * live, final_norm=result.hidden_states[-1] * live)


def positions_stage(engine, inputs):
    ids, out = inputs["input_ids"], OrderedDict()
    plain = engine.model(input_ids=ids).logits
    ones = torch.ones_like(ids)
    out["shifted.logits"] = engine.model(input_ids=ids, position_ids=inputs["shifted.position_ids"]).logits
    if engine.dtype != torch.bfloat16:
        assert (out["shifted.logits"] - plain).abs().max() < 0.01  # rotation is relative
    gap = inputs["gap.position_ids"]
    out["gap.logits"] = engine.model(input_ids=ids, position_ids=gap).logits
    out["gap.logits_packed"] = engine.model(input_ids=ids, position_ids=gap, use_cache=False).logits
    masked = engine.model(input_ids=ids, position_ids=gap, attention_mask=ones, use_cache=False).logits
    close(masked, out["gap.logits"], engine, "a mask switches the packing off")
    restart = inputs["restart.position_ids"]
    out["restart.logits_packed"] = engine.model(input_ids=ids, position_ids=restart, use_cache=False).logits
    cut = int((restart[0] == 0).nonzero()[1])
    apart = [engine.model(input_ids=part).logits for part in (ids[:, :cut], ids[:, cut:])]
    close(torch.cat(apart, 1), out["restart.logits_packed"], engine, "packed = separate")
    out["inputs_embeds.logits"] = engine.model(inputs_embeds=engine.cast(inputs["inputs_embeds"])).logits
    return out


def loss_stage(engine, inputs):
    ids, labels, out = inputs["input_ids"], inputs["labels"], OrderedDict()
    result = engine.model(input_ids=ids, labels=labels)
    out["logits"], out["loss_mean"] = result.logits, result.loss.reshape(1)
    out["loss_row0"] = engine.model(input_ids=ids[:1], labels=labels[:1]).loss.reshape(1)
    items = int(inputs["num_items_in_batch"])
    out["loss_num_items"] = engine.model(input_ids=ids, labels=labels, num_items_in_batch=items).loss.reshape(1)
    logp = F.log_softmax(result.logits[:, :-1].to(torch.promote_types(torch.float32, engine.dtype)), dim=-1)
    target = labels[:, 1:]
    nll = -logp.gather(-1, target.clamp(min=0)[..., None])[..., 0] * (target != -100)
    out["nll"] = nll
    close(nll.sum() / (target != -100).sum(), out["loss_mean"][0], engine, "mean loss")
    close(nll.sum() / items, out["loss_num_items"][0], engine, "loss by num_items_in_batch")
    for name in ("keep_last", "keep_index", "keep_index_2d", "keep_mask_2d"):
        keep = int(inputs[name]) if name == "keep_last" else inputs[name]
        keep = keep.bool() if name == "keep_mask_2d" else keep
        out[f"{name}.logits"] = engine.model(input_ids=ids, logits_to_keep=keep).logits
    return out


def cache_stage(keep):
    def compute(engine, inputs):
        ids, out, at = inputs["input_ids"], OrderedDict(), 0
        whole = engine.model(input_ids=ids, use_cache=False).logits
        cache = DynamicCache(config=engine.text.config)
        for call, n in enumerate(inputs["calls"].tolist()):
            logits = engine.model(input_ids=ids[:, at : at + n], past_key_values=cache, use_cache=True).logits
            close(logits, whole[:, at : at + n], engine, f"cached call {call}")
            out[f"call.{call}.logits"] = logits[:, -keep:]
            at += n
        assert at == ids.shape[1]
        return out

    return compute


def model_inputs(engine, inputs):
    names = ("input_ids", "pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw")
    return {n: engine.cast(inputs[n]) for n in names if n in inputs}


def multimodal_stage(engine, inputs):
    out = OrderedDict()
    for kind, pixels, grid, get in (
        ("image", "pixel_values", "image_grid_thw", engine.model.get_image_features),
        ("video", "pixel_values_videos", "video_grid_thw", engine.model.get_video_features),
    ):
        if pixels in inputs:
            out[f"{kind}_features"] = torch.cat(get(engine.cast(inputs[pixels]), inputs[grid]).pooler_output)
    result = engine.model(**model_inputs(engine, inputs), output_hidden_states=True)
    out["inputs_embeds"], out["final_norm"] = result.hidden_states[0], result.hidden_states[-1]
    ids = inputs["input_ids"]
    for kind, pad in (("image", IMAGE_PAD), ("video", VIDEO_PAD)):  # rows replaced in order
        if f"{kind}_features" in out:
            assert torch.equal(out["inputs_embeds"][ids == pad], out[f"{kind}_features"])
    others = (ids != IMAGE_PAD) & (ids != VIDEO_PAD)
    assert torch.equal(out["inputs_embeds"][others], engine.text.embed_tokens(ids)[others])
    positions = torch.arange(ids.shape[1])[None]
    close(
        engine.model(**model_inputs(engine, inputs), position_ids=positions).logits, result.logits, engine, "1-D positions"
    )
    out["logits"] = result.logits
    return out


def mtp_stage(steps):
    def compute(engine, inputs):
        """Teacher-forced MTP over the prompt, then a greedy draft of `steps` tokens after the prompt."""
        out, ids = OrderedDict(), inputs["input_ids"]
        result = engine.model(**model_inputs(engine, inputs), output_hidden_states=True)
        target_hidden, target_embeds = result.hidden_states[-1], result.hidden_states[0]
        last, mtp = ids.shape[1] - 1, engine.mtp
        # Entry t takes the hidden state of position t and what the target saw as input at t+1.
        names = ("fc_input", "fc_output", "layer_output", "hidden")
        forced = mtp(target_hidden[:, :last], target_embeds[:, 1:], torch.arange(last)[None])
        for name, tensor in zip(names, forced):
            out[f"forced.{name}"] = tensor
        out["forced.logits"] = engine.logits(forced[-1])
        # Draft, with a cache of its own: first the prompt's entries, then one entry per step.
        cache = DynamicCache(config=mtp.config)
        close(
            mtp(target_hidden[:, :last], target_embeds[:, 1:], torch.arange(last)[None], cache)[-1],
            forced[-1],
            engine,
            "mtp cache",
        )
        hidden, token = target_hidden[:, last:], result.logits[:, -1].argmax(-1)
        tokens, all_logits, all_hidden, entries = [token], [], [hidden], [engine.text.embed_tokens(token)[:, None]]
        for step in range(steps):
            embeds = engine.text.embed_tokens(token)[:, None]
            hidden = mtp(hidden, embeds, torch.tensor([[last + step]]), cache)[-1]
            logits = engine.logits(hidden)
            token = logits[:, -1].argmax(-1)
            tokens.append(token)
            all_logits.append(logits)
            all_hidden.append(hidden)
            entries.append(engine.text.embed_tokens(token)[:, None])
        out["draft.tokens"] = torch.cat(tokens)
        out["draft.hidden"], out["draft.logits"] = torch.cat(all_hidden[1:], 1), torch.cat(all_logits, 1)
        # The same without a cache, and with every position one further on: nothing may change.
        h = torch.cat([target_hidden[:, :last]] + all_hidden[:-1], 1)
        e = torch.cat([target_embeds[:, 1:]] + entries[:-1], 1)
        for shift in (0, 1):
            again = mtp(h, e, torch.arange(h.shape[1])[None] + shift)[-1]
            close(again[:, last:], out["draft.hidden"], engine, f"mtp draft without cache, shift {shift}")
        top = out["draft.logits"][0].float().topk(2).values
        out["draft.margin"] = top[:, 0] - top[:, 1]
        return out

    return compute


class FrequencyPenalty(LogitsProcessor):
    """OpenAI's frequency penalty: once per occurrence.  Only a control: results must differ from PresencePenalty."""

    def __init__(self, penalty, prompt_length):
        self.penalty, self.prompt_length = penalty, prompt_length

    def __call__(self, input_ids, scores):
        counts = F.one_hot(input_ids[:, self.prompt_length :], scores.shape[-1]).sum(1)
        return scores - self.penalty * counts


class PresencePenalty(LogitsProcessor):
    """OpenAI's presence penalty: subtracted once from every token that has already been generated (not the prompt's)."""

    def __init__(self, penalty, prompt_length):
        self.penalty, self.prompt_length = penalty, prompt_length

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        for row in range(len(scores)):
            scores[row, input_ids[row, self.prompt_length :].unique()] -= self.penalty
        return scores


def generate(engine, inputs, settings, *processors):
    """The reference's generate(), greedy.  Returns new ids, raw logits, processed scores (one row per step and sequence)."""
    settings = dict(settings)
    arguments = model_inputs(engine, inputs)
    # Always with a mask, as the processor gives one: without it generate() would hide every id equal to pad_token_id (0).
    arguments["attention_mask"] = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
    processors = LogitsProcessorList(processors)
    if "presence_penalty" in settings:
        processors.append(PresencePenalty(settings.pop("presence_penalty"), arguments["input_ids"].shape[1]))
    with patched_to_64() if engine.dtype == torch.float64 else contextlib.nullcontext():
        result = engine.model.generate(
            **arguments,
            do_sample=False,
            logits_processor=processors,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **settings,
        )
    new = result.sequences[:, arguments["input_ids"].shape[1] :]
    return new, torch.stack(result.logits, 1), torch.stack(result.scores, 1)


def generate_stage(cases):
    """cases: list of (name, prompt name, settings).  Inputs are named '<prompt>.<input>'."""

    def compute(engine, inputs):
        out = OrderedDict()
        for name, prompt, settings in cases:
            mine = {n[len(prompt) + 1 :]: t for n, t in inputs.items() if n.startswith(prompt + ".")}
            new, logits, scores = generate(engine, mine, settings)
            top = scores.float().topk(2, dim=-1).values
            out[f"{name}.ids"] = new if len(new) > 1 else new[0]
            margin = top[..., 0] - top[..., 1]
            out[f"{name}.margin"] = margin if len(new) > 1 else margin[0]
            if settings.get("max_new_tokens") and len(new) == 1:
                out[f"{name}.logits"] = logits[0]
        return out

    return compute


# Sampler settings: the arguments of generate() that the released model card and OpenAI-style clients use.
SAMPLERS = OrderedDict(
    temperature_0_6=dict(temperature=0.6),
    temperature_1_7=dict(temperature=1.7),
    top_k_1=dict(top_k=1),
    top_k_20=dict(top_k=20),
    top_k_over_vocab=dict(top_k=100000),
    top_p_0_95=dict(top_p=0.95),
    top_p_0_5=dict(top_p=0.5),
    top_p_0_01=dict(top_p=0.01),
    min_p_0_05=dict(min_p=0.05),
    min_p_0_3=dict(min_p=0.3),
    typical_p_0_9=dict(typical_p=0.9),
    typical_p_0_2=dict(typical_p=0.2),
    epsilon_cutoff_0_003=dict(epsilon_cutoff=0.003),
    eta_cutoff_0_003=dict(eta_cutoff=0.003),
    top_h_0_4=dict(top_h=0.4),
    card_general=dict(temperature=1.0, top_p=0.95),
    card_general_in_generate=dict(temperature=1.0, top_p=0.95, top_k=50),
    card_documents=dict(temperature=0.6, top_p=0.95, top_k=20),
    k_p_minp=dict(temperature=0.8, top_k=40, top_p=0.9, min_p=0.05),
    k_p_typical=dict(temperature=0.7, top_k=100, top_p=0.9, typical_p=0.95),
    hot_p_minp=dict(temperature=1.5, top_p=0.98, min_p=0.1),
    repetition=dict(repetition_penalty=1.3),
    repetition_t_k_p=dict(repetition_penalty=1.2, temperature=0.8, top_k=30, top_p=0.9),
    presence=dict(presence_penalty=1.5),
    presence_card=dict(presence_penalty=1.5, temperature=1.0, top_p=0.95),
    all_penalties=dict(repetition_penalty=1.1, presence_penalty=0.7, min_new_tokens=16, temperature=0.9, top_p=0.92),
)


def sampler_scores(engine, settings, input_ids, prompt_length, logits):
    """Applies the processors that generate() would build for these settings, in its order."""
    settings = dict(settings)
    mine = LogitsProcessorList()
    if "presence_penalty" in settings:
        mine.append(PresencePenalty(settings.pop("presence_penalty"), prompt_length))
    config = GenerationConfig(do_sample=True, eos_token_id=END_OF_TURN, **settings)
    engine.model._prepare_special_tokens(config, device="cpu")
    processors = engine.model._get_logits_processor(
        config,
        input_ids_seq_length=prompt_length,
        logits_processor=mine,
        device="cpu",
        model_kwargs={"attention_mask": torch.ones_like(input_ids)},
    )
    return processors(input_ids, logits)


def sampler_stage(engine, inputs):
    out = OrderedDict()
    ids, prompt_length = inputs["input_ids"], int(inputs["prompt_length"])
    for name, settings in SAMPLERS.items():
        scores = sampler_scores(engine, settings, ids, prompt_length, engine.cast(inputs["logits"]))
        out[f"{name}.scores"], out[f"{name}.probs"] = scores[0], scores.softmax(-1)[0]
    for name in ("top_k_20", "min_p_0_3"):
        scores = sampler_scores(engine, SAMPLERS[name], ids, prompt_length, engine.cast(inputs["tied_logits"]))
        out[f"tied.{name}.scores"], out[f"tied.{name}.probs"] = scores[0], scores.softmax(-1)[0]
    return out


def close(a, b, engine, what):
    """Asserts equality up to the noise of the engine's precision."""
    if engine.dtype == torch.bfloat16:
        return
    bound = 2e-4 if engine.dtype == torch.float32 else 1e-11
    worst = (a - b).abs().max().item()
    assert worst <= bound, f"{what}: {worst} > {bound} ({engine.dtype}, {engine.attention})"


# ------------------------------------------------------------------------------------------------ meanings

# Pattern -> meaning, for TENSORS.md.  The first match wins.  N = patch rows, T = tokens, L = text layers.
MEANINGS = [
    ("vision*|image.*.rgb", "picture k: height, width, RGB"),
    ("vision*|video.*.frames", "clip k: frames, height, width, RGB"),
    ("*|image.*.rgb", "picture k: height, width, RGB"),
    ("*|video.*.frames", "clip k: frames, height, width, RGB"),
    ("*|image_grid_thw", "t, h, w in patches per image"),
    ("*|video_grid_thw", "t, h, w in patches per video"),
    ("*|pixel_values*", "patch rows as the processor makes them"),
    ("*|*.image_grid_thw", "t, h, w in patches per image"),
    ("*|*.video_grid_thw", "t, h, w in patches per video"),
    ("*|*.pixel_values*", "patch rows as the processor makes them"),
    ("vision*|position_ids", "row, column of each patch, in the order of pixel_values"),
    ("vision*|window_index", "new order of the merged units (groups of 4 rows) before block 0"),
    ("vision*|cu_window_seqlens", "segment bounds in rows for windowed blocks"),
    ("vision*|cu_seqlens", "segment bounds in rows for the blocks in fullatt_block_indexes: one per frame"),
    ("vision*|rope.inv_freq", "frequencies; k turns with row or column"),
    ("vision*|rope.*", "table in the order of pixel_values (before the window order)"),
    ("vision*|patch_embed", "patch embedding, in the order of pixel_values"),
    ("vision*|block.*.attn.[qk]", "after rotation: row, head, head_dim; rows in window order from here on"),
    ("vision*|block.*.attn.v", "row, head, head_dim"),
    ("vision*|block.*.attn.output", "after attn.proj and its bias, before the residual add"),
    ("vision*|block.*.output", "residual stream after the block, window order"),
    ("vision*|merger.ln_q", "after ln_q, window order"),
    ("vision*|merger.gelu", "after mlp.0 and exact GELU, window order"),
    ("vision*|merger.output", "after mlp.2, still window order"),
    ("vision*|features.*", "final features of image or video k, window order undone"),
    ("text|rope.inv_freq", "frequencies after the llama3 rule"),
    ("text|rope.*", "table for positions 0 … T-1 (both halves alike)"),
    ("*|embeddings", "rows of embed_tokens"),
    ("text|layer.*.attn.[qk]", "after norm and (sliding layers) rotation: batch, token, head, head_dim"),
    ("text|layer.*.attn.v", "batch, token, head, head_dim"),
    ("text|layer.*.attn.probs", "softmax weights: batch, head, query, key"),
    ("text|layer.*.attn.output", "after o_proj, before the post norm"),
    ("text|layer.*.attn.normed", "after post_attention_layernorm: what is added to the stream"),
    ("text|layer.*.mlp.output", "after down_proj, before the post norm"),
    ("text|layer.*.mlp.normed", "after post_feedforward_layernorm: what is added to the stream"),
    ("*|layer.*.output", "residual stream after the layer"),
    ("text|hidden_states", "what the reference returns: embeddings, layers 0 … L-2, then final_norm (not layer L-1)"),
    ("batch|final_norm", "vectors lm_head sees; 0 where attention_mask is 0"),
    ("batch|logits", "0 where attention_mask is 0 (the reference's values there mean nothing)"),
    ("*|attention_mask", "1 = token, 0 = padding (left)"),
    ("*|*.attention_mask", "1 = token, 0 = padding (left)"),
    ("*|final_norm", "vectors lm_head sees"),
    ("positions|shifted.position_ids", "0, 1, 2 … plus a constant"),
    ("positions|gap.position_ids", "with a jump in the middle"),
    ("positions|restart.position_ids", "starting again at 0 in the middle"),
    ("positions|shifted.logits", "with shifted.position_ids"),
    ("positions|gap.logits", "with gap.position_ids, cache on: the ids only turn q and k, masks go by index"),
    ("positions|gap.logits_packed", "same with use_cache off and no mask: the reference takes each jump as a new sequence"),
    ("positions|restart.logits_packed", "with restart.position_ids, use_cache off, no mask: two separate sequences"),
    ("positions|inputs_embeds", "vectors given instead of ids"),
    ("positions|inputs_embeds.logits", "logits for inputs_embeds"),
    ("loss|labels", "targets, not shifted; -100 = ignored"),
    ("loss|num_items_in_batch", "divisor for loss_num_items"),
    ("loss|keep_last", "logits_to_keep as an integer: the last n positions"),
    ("loss|keep_index", "logits_to_keep as 1-D index"),
    ("loss|keep_index_2d", "logits_to_keep as 2-D index: own positions per row"),
    ("loss|keep_mask_2d", "logits_to_keep as boolean mask (stored as 0/1)"),
    ("loss|keep_mask_2d.logits", "logits where the mask is 1, rows concatenated"),
    ("loss|keep_*.logits", "logits for that logits_to_keep"),
    ("loss|loss_mean", "mean over all targets that are not -100, both rows together"),
    ("loss|loss_row0", "the same for row 0 alone"),
    ("loss|loss_num_items", "sum over targets divided by num_items_in_batch"),
    ("loss|nll", "-log p of the target of position t+1; 0 where ignored"),
    ("*|calls", "number of tokens in each forward call"),
    ("cache|call.*.logits", "logits of call k, all its positions"),
    ("long|call.*.logits", "logits of call k, its last positions"),
    ("*|image_features", "features of all images, in order"),
    ("*|video_features", "features of all videos, in order"),
    ("*|inputs_embeds", "embeddings with rows at ids 67 and 68 replaced"),
    ("mtp*|forced.fc_input", "concat[e, g] of entry t = 0 … T-2"),
    ("mtp*|forced.fc_output", "after fc"),
    ("mtp*|forced.layer_output", "after the decoder layer, before mtp.norm"),
    ("mtp*|forced.hidden", "m = after mtp.norm"),
    ("mtp*|forced.logits", "prediction for token t+2"),
    ("mtp*|draft.tokens", "the target's own next token, then the drafted ones"),
    ("mtp*|draft.hidden", "m of each draft step"),
    ("mtp*|draft.logits", "logits of each draft step"),
    ("mtp*|draft.margin", "best minus second logit of each step"),
    ("generate|*.ids", "generated ids, prompt not included"),
    ("generate|*.margin", "best minus second score at each step (after the processors)"),
    ("generate|*.logits", "raw logits at each step (before the processors)"),
    ("generate|*.input_ids", "prompt"),
    ("samplers|logits", "the logits that go in"),
    ("samplers|tied_logits", "logits with many ties"),
    ("samplers|input_ids", "prompt and generated tokens so far, for the penalties"),
    ("samplers|prompt_length", "how many of input_ids are prompt"),
    ("samplers|tied.*.scores", "processed tied_logits, -inf = removed"),
    ("samplers|tied.*.probs", "softmax of the scores"),
    ("samplers|*.scores", "processed logits, -inf = removed"),
    ("samplers|*.probs", "softmax of the scores"),
    ("bf16|*", "the same quantity as in the fp32 fixture, from the bf16 run"),
    ("*|input_ids", "token ids"),
    ("*|logits", "logits"),
]


def meaning(fixture, tensor):
    for pattern, text in MEANINGS:
        if fnmatch.fnmatchcase(f"{fixture}|{tensor}", pattern):
            return text
    raise KeyError(f"no meaning for {fixture}|{tensor}")


# ------------------------------------------------------------------------------------------------ the stages of a recipe


def padded_batch(rows, width):
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids, mask


def build_stages(recipe, engine):
    """name -> (inputs, compute).  engine (fp32) is needed to choose prompts for generate."""
    stages = OrderedDict()
    for case in recipe["vision"]:
        inputs = make_pixels(recipe, "vision/" + case["name"], case.get("images", ()), case.get("videos", ()))
        stages["vision_" + case["name"]] = (inputs, vision_stage)

    length = recipe["text"]["length"]
    prompt = text_prompt(recipe, "text", length)
    stages["text"] = (OrderedDict(input_ids=prompt), text_stage(recipe["text"]["detail_layers"]))

    rows = [text_prompt(recipe, f"batch/{i}", n)[0].tolist() for i, n in enumerate(recipe["batch"]["lengths"])]
    ids, mask = padded_batch(rows, max(recipe["batch"]["lengths"]))
    stages["batch"] = (OrderedDict(input_ids=ids, attention_mask=mask), batch_stage)

    half = length // 2
    hidden = recipe["config"]["text_config"]["hidden_size"]
    embeds = random(recipe, "inputs_embeds").standard_normal((1, half, hidden))
    stages["positions"] = (
        OrderedDict(
            input_ids=prompt,
            **{
                "shifted.position_ids": torch.arange(length)[None] + 500,
                "gap.position_ids": torch.cat([torch.arange(half), torch.arange(length - half) + half + 17])[None],
                "restart.position_ids": torch.cat([torch.arange(length - 13), torch.arange(13)])[None],
                "inputs_embeds": torch.from_numpy(embeds).float(),
            },
        ),
        positions_stage,
    )

    ids = torch.cat([text_prompt(recipe, f"loss/{i}", 24) for i in range(2)])
    labels = ids.clone()
    labels[0, :9], labels[1, :5], labels[1, 11:14], labels[0, 20] = -100, -100, -100, -100
    kept = random(recipe, "keep").random((2, 24)) < 0.3
    stages["loss"] = (
        OrderedDict(
            input_ids=ids,
            labels=labels,
            num_items_in_batch=torch.tensor([17]),
            keep_last=torch.tensor([5]),
            keep_index=torch.tensor([0, 3, 7, 23, 7]),
            keep_index_2d=torch.tensor([[1, 22, 4], [23, 0, 9]]),
            keep_mask_2d=torch.from_numpy(kept.astype(np.int32)),
        ),
        loss_stage,
    )

    calls = recipe["cache"]["calls"]
    stages["cache"] = (OrderedDict(input_ids=prompt[:, : sum(calls)], calls=torch.tensor(calls)), cache_stage(max(calls)))
    far = recipe["long"]
    stages["long"] = (
        OrderedDict(input_ids=text_prompt(recipe, "long", far["length"]), calls=torch.tensor(far["calls"])),
        cache_stage(far["keep"]),
    )

    for case in recipe["multimodal"]:
        stages["multimodal_" + case["name"]] = (multimodal_prompt(recipe, case), multimodal_stage)
    stages["mtp"] = (OrderedDict(input_ids=prompt), mtp_stage(3))
    stages["mtp_multimodal"] = (drop_pictures(stages["multimodal_" + recipe["multimodal"][0]["name"]][0]), mtp_stage(3))

    stages["generate"] = build_generate(recipe, engine, stages)
    stages["samplers"] = (sampler_inputs(recipe), sampler_stage)
    return stages


def drop_pictures(inputs):
    return OrderedDict((n, t) for n, t in inputs.items() if not re.fullmatch(r"(image|video)\.\d+\.\w+", n))


def build_generate(recipe, engine, stages):
    """Looks for prompts whose greedy paths are safe: no step with a margin below min_margin, not a short loop."""
    want = recipe["generate"]
    n = want["new_tokens"]
    text_cases = OrderedDict(
        greedy=dict(max_new_tokens=n),
        repetition=dict(max_new_tokens=n, repetition_penalty=1.3),
        presence=dict(max_new_tokens=n, presence_penalty=1.5),
        penalties=dict(max_new_tokens=n, repetition_penalty=1.05, presence_penalty=3.0, min_new_tokens=n),
    )

    def safe(inputs, settings):
        ids, _, scores = generate(engine, inputs, settings)
        top = scores.topk(2, dim=-1).values
        return ids, (top[..., 0] - top[..., 1]).min().item() >= want["min_margin"]

    def misread(inputs):
        """What an engine would generate that understands a penalty differently: these paths must be other ones."""
        prompt = inputs["input_ids"].shape[1]
        wrong = {
            "repetition": RepetitionPenaltyLogitsProcessor(1.3, prompt_ignore_length=prompt),  # without the prompt
            "presence": PresencePenalty(1.5, 0),  # with the prompt
            "presence ": FrequencyPenalty(1.5, prompt),  # once per occurrence
        }
        return {name: generate(engine, inputs, dict(max_new_tokens=n), p)[0].tolist() for name, p in wrong.items()}

    for attempt in range(1000):
        text = dict(input_ids=text_prompt(recipe, f"generate/{attempt}", recipe["text"]["length"]))
        tried = {name: safe(text, settings) for name, settings in text_cases.items()}
        if not all(ok and ids.shape[1] == n for ids, ok in tried.values()):
            continue
        paths = {name: ids.tolist() for name, (ids, _) in tried.items()}
        distinct = (
            len({str(path) for path in paths.values()}) == len(paths)
            and len(set(paths["greedy"][0])) >= want["min_distinct"]
        )
        if distinct and all(path != paths[name.strip()] for name, path in misread(text).items()):
            break
    else:
        raise RuntimeError("no safe text prompt")

    for attempt in range(1000):  # a prompt that ends by itself, not at once
        ends = dict(input_ids=text_prompt(recipe, f"ends/{attempt}", 20))
        ids, ok = safe(ends, dict(max_new_tokens=n))
        at = ids.shape[1]
        if not ok or ids[0, -1] != END_OF_TURN or not 6 <= at <= n - 10:
            continue
        longer, ok = safe(ends, dict(max_new_tokens=n, min_new_tokens=at + 4))
        if ok and longer.shape[1] > at + 4:
            break
    else:
        raise RuntimeError("no prompt that reaches the stop token")
    # Two stop tokens: 53 and one that comes earlier on this path.
    early = int(ids[0, at // 2])

    multimodal = None
    for case in recipe["multimodal"]:
        inputs = drop_pictures(stages["multimodal_" + case["name"]][0])
        ids, ok = safe(inputs, dict(max_new_tokens=n))
        if ok and ids.shape[1] == n:
            multimodal = inputs
            break
    if multimodal is None:  # change the words around the pictures until the path is safe
        inputs = drop_pictures(stages["multimodal_" + recipe["multimodal"][0]["name"]][0])
        for attempt in range(1000):
            ids = inputs["input_ids"].clone()
            words = ids >= FIRST_ORDINARY
            ids[words] = torch.tensor(ordinary(recipe, f"multimodal/{attempt}", int(words.sum())))
            multimodal = dict(inputs, input_ids=ids)
            new, ok = safe(multimodal, dict(max_new_tokens=n))
            if ok and new.shape[1] == n:
                break

    ids, mask = padded_batch([text["input_ids"][0].tolist(), ends["input_ids"][0].tolist()], recipe["text"]["length"])
    inputs = OrderedDict()
    prompts = dict(text=text, ends=ends, multimodal=multimodal, batch=dict(input_ids=ids, attention_mask=mask))
    for prompt, values in prompts.items():
        inputs.update({f"{prompt}.{name}": tensor for name, tensor in values.items()})
    cases = [(f"text_{name}", "text", settings) for name, settings in text_cases.items()]
    cases += [
        ("multimodal_greedy", "multimodal", dict(max_new_tokens=n)),
        ("multimodal_presence", "multimodal", dict(max_new_tokens=n, presence_penalty=1.5)),
        ("eos", "ends", dict(max_new_tokens=n)),
        ("eos_min_new_tokens", "ends", dict(max_new_tokens=n, min_new_tokens=at + 4)),
        ("eos_two", "ends", dict(max_new_tokens=n, eos_token_id=[END_OF_TURN, early])),
        ("batch", "batch", dict(max_new_tokens=n)),
    ]
    return inputs, generate_stage(cases), cases


def sampler_inputs(recipe):
    vocab = recipe["config"]["text_config"]["vocab_size"]
    logits = torch.from_numpy(random(recipe, "samplers").standard_normal((1, vocab)) * 2.5).float()
    ids = torch.tensor([ordinary(recipe, "samplers/ids", 30)])
    ids[0, 25:] = logits[0].topk(9).indices[torch.tensor([0, 2, 5, 5, 8])]  # the penalties must hit probable tokens
    return OrderedDict(logits=logits, tied_logits=(logits * 2).round() / 2, input_ids=ids, prompt_length=torch.tensor([20]))


# ------------------------------------------------------------------------------------------------ writing and checking


def distance(expected, actual):
    a, b = expected.double().flatten(), actual.double().flatten()
    finite = torch.isfinite(a) & torch.isfinite(b)
    assert torch.equal(torch.isfinite(a), torch.isfinite(b))
    difference = (a - b)[finite]
    if not len(difference):
        return dict(max_abs=0.0, rel_l2=0.0)
    norm = a[finite].norm().item()
    return dict(max_abs=difference.abs().max().item(), rel_l2=difference.norm().item() / norm if norm else 0.0)


def storable(tensor):
    tensor = tensor.detach()
    if tensor.dtype in (torch.float64, torch.bfloat16):
        tensor = tensor.float()
    return tensor.contiguous().clone()


def folders(recipe, out):
    return out / recipe["name"] / "checkpoint", out / recipe["name"] / "stages"


def make(recipe, out):
    checkpoint, stages_dir = folders(recipe, out)
    write_checkpoint(recipe, checkpoint)
    stages_dir.mkdir(parents=True, exist_ok=True)
    make_variants(recipe, out)
    engine = Engine(checkpoint)
    fp64, sdpa, bf16 = (
        Engine(checkpoint, torch.float64),
        Engine(checkpoint, attention="sdpa"),
        Engine(checkpoint, torch.bfloat16),
    )
    # One key only: safetensors writes several in random order, and files should come out the same byte for byte.
    metadata = {
        "made": f"recipe {recipe['name']}, seed {recipe['seed']}, transformers {transformers.__version__}, torch {torch.__version__}, "
        "fp32 (bf16.safetensors: bf16), eager attention, one thread, weights rounded to bf16 first"
    }
    stages, listing, precision = build_stages(recipe, engine), [], OrderedDict()
    results = {}
    for name, stage in stages.items():
        inputs, compute = stage[:2]
        outputs = engine.run(compute, inputs)
        again = engine.run(compute, inputs)
        for key in outputs:
            assert torch.equal(outputs[key], again[key]), f"{name}: {key} is not reproducible"
        precision[name] = OrderedDict()
        others = dict(fp64=fp64.run(compute, inputs), sdpa=sdpa.run(compute, inputs))
        for key, tensor in outputs.items():
            if not tensor.is_floating_point():
                for label, other in others.items():
                    assert torch.equal(tensor, other[key]), f"{name}: {key} differs in {label}"
                continue
            row = precision[name][key] = OrderedDict(rms=tensor[torch.isfinite(tensor)].double().pow(2).mean().sqrt().item())
            for label, other in others.items():
                if key in other and key != "rope.inv_freq":
                    row[label] = distance(
                        other[key] if label == "fp64" else tensor, tensor if label == "fp64" else other[key]
                    )
        save(stages_dir, name, inputs, outputs, metadata, listing)
        results[name] = (inputs, outputs)
        print(f"{name}: {len(inputs)} inputs, {len(outputs)} outputs", flush=True)

    write_json(stages_dir / "generate.json", generate_summary(stages["generate"][2], *results["generate"]))
    write_json(stages_dir / "samplers.json", sampler_summary(engine, fp64, *results["samplers"]))
    bf16_outputs, bf16_rows = bf16_stage(recipe, bf16, results)
    save(stages_dir, "bf16", {}, bf16_outputs, metadata, listing)
    precision["bf16"] = bf16_rows
    write_json(stages_dir / "precision.json", precision)
    (stages_dir / "precision.md").write_text(precision_table(precision))
    (stages_dir / "TENSORS.md").write_text(listing_table(recipe, listing))
    write_json(stages_dir / "sensitivity.json", sensitivity(recipe, checkpoint, results))


def save(folder, name, inputs, outputs, metadata, listing):
    tensors = OrderedDict((k, storable(v)) for k, v in list(inputs.items()) + list(outputs.items()))
    save_file(tensors, folder / f"{name}.safetensors", metadata=metadata)
    (folder / f"{name}.safetensors").chmod(0o644)
    for key, tensor in tensors.items():
        listing.append(
            (name, key, key in inputs, str(tensor.dtype).replace("torch.", ""), list(tensor.shape), meaning(name, key))
        )


def make_variants(recipe, out):
    """Writes the other spellings and notes which of them the reference itself accepts (and that it then agrees)."""
    folder = out / recipe["name"] / "variants"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folders(recipe, out)[0]
    ids = text_prompt(recipe, "text", recipe["text"]["length"])
    base = Exaone4_5_ForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager")(
        input_ids=ids
    ).logits
    notes = OrderedDict()
    configs = variant_configs(recipe)
    for name in recipe["variants"]:
        write_json(folder / f"config_{name}.json", configs[name])
        try:
            config = transformers.Exaone4_5_Config.from_dict(copy.deepcopy(configs[name]))
            model = Exaone4_5_ForConditionalGeneration.from_pretrained(
                checkpoint, config=config, dtype=torch.float32, attn_implementation="eager"
            )
            assert torch.equal(model(input_ids=ids).logits, base), name
            notes[name] = "the reference loads it: same logits"
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            notes[name] = f"the reference refuses it: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    write_json(folder / "reference.json", notes)


def generate_summary(cases, inputs, outputs):
    summary = OrderedDict()
    for name, prompt, settings in cases:
        ids, margin = outputs[f"{name}.ids"], outputs[f"{name}.margin"]
        alive = torch.ones_like(margin, dtype=torch.bool)
        if ids.ndim == 2:  # after its stop token a row is padded: margins there do not count
            alive = torch.cat([torch.ones(len(ids), 1, dtype=torch.bool), (ids == END_OF_TURN).cumsum(1)[:, :-1] == 0], 1)
        summary[name] = OrderedDict(
            prompt=f"{prompt}.input_ids",
            settings=dict(do_sample=False, **settings),
            ids=ids.tolist(),
            smallest_margin=margin[alive].min().item(),
            distinct_ids=len(set(ids.flatten().tolist())),
        )
        assert summary[name]["smallest_margin"] >= 1e-3, name
    rows = outputs["batch.ids"]  # left padding must not change what is generated
    assert rows[0].tolist() == outputs["text_greedy.ids"].tolist()
    alone = outputs["eos.ids"].tolist()
    assert rows[1].tolist() == alone + [0] * (rows.shape[1] - len(alone))
    return summary


def sampler_summary(engine, fp64, inputs, outputs):
    """Settings per name; asserts that no token sits on a threshold (fp64 and slightly moved logits keep the same set)."""
    summary = OrderedDict()
    ids, prompt_length = inputs["input_ids"], int(inputs["prompt_length"])
    stream = np.random.default_rng(1)
    for name, settings in SAMPLERS.items():
        kept = torch.isfinite(outputs[f"{name}.scores"])
        exact = sampler_scores(fp64, settings, ids, prompt_length, inputs["logits"].double())[0]
        assert torch.equal(kept, torch.isfinite(exact)), name
        for _ in range(20):
            moved = inputs["logits"] + torch.from_numpy(stream.uniform(-2e-6, 2e-6, inputs["logits"].shape)).float()
            assert torch.equal(kept, torch.isfinite(sampler_scores(engine, settings, ids, prompt_length, moved)[0])), name
        config = GenerationConfig(
            do_sample=True, eos_token_id=END_OF_TURN, **{k: v for k, v in settings.items() if k != "presence_penalty"}
        )
        engine.model._prepare_special_tokens(config, device="cpu")
        mine = LogitsProcessorList([PresencePenalty(1.0, 0)] if "presence_penalty" in settings else [])
        order = engine.model._get_logits_processor(
            config, prompt_length, logits_processor=mine, device="cpu", model_kwargs={"attention_mask": torch.ones_like(ids)}
        )
        summary[name] = OrderedDict(settings=settings, order=[type(p).__name__ for p in order], kept=int(kept.sum()))
    return summary


def bf16_stage(recipe, engine, results):
    """The reference in bf16: what it loses itself.  Text stage, one multimodal prompt, one vision case."""
    outputs, rows = OrderedDict(), OrderedDict()
    first = "multimodal_" + recipe["multimodal"][0]["name"]
    vision = "vision_" + recipe["vision"][-1]["name"]
    wanted = {
        "text": r"embeddings|layer\.\d+\.output|final_norm|logits",
        first: r"(image|video)_features|final_norm|logits",
        vision: r"patch_embed|block\.\d+\.output|features\.\d+",
        "mtp": r"forced\.(hidden|logits)",
    }
    computes = {
        "text": text_stage(recipe["text"]["detail_layers"]),
        first: multimodal_stage,
        vision: vision_stage,
        "mtp": mtp_stage(3),
    }
    for stage, pattern in wanted.items():
        inputs, fp32 = results[stage]
        for key, tensor in engine.run(computes[stage], inputs).items():
            if re.fullmatch(pattern, key):
                outputs[f"{stage}.{key}"] = tensor
                row = rows[f"{stage}.{key}"] = OrderedDict(
                    rms=fp32[key].double().pow(2).mean().sqrt().item(), bf16=distance(fp32[key], tensor)
                )
                if key.endswith("logits"):
                    row["argmax_agreement"] = (fp32[key].argmax(-1) == tensor.argmax(-1)).double().mean().item()
                    p, q = F.log_softmax(fp32[key].double(), -1), F.log_softmax(tensor.double(), -1)
                    row["mean_kl"] = (p.exp() * (p - q)).sum(-1).mean().item()
    return outputs, rows


def sensitivity(recipe, checkpoint, results):
    """Zeroes one tensor at a time: how far do the logits (of the multimodal prompt, or of MTP) move?"""
    inputs, outputs = results["multimodal_" + recipe["multimodal"][0]["name"]]
    engine, moved = Engine(checkpoint), OrderedDict()
    parameters = dict(engine.model.named_parameters())
    for name, parameter in parameters.items():
        kept = parameter.clone()
        parameter.zero_()
        moved[name] = (engine.model(**model_inputs(engine, inputs)).logits - outputs["logits"]).abs().max().item()
        parameter.copy_(kept)
    forced = results["mtp"][1]["forced.logits"]
    for name, parameter in engine.mtp.named_parameters():
        kept = parameter.clone()
        parameter.zero_()
        moved["mtp." + name] = (mtp_logits(engine, results["mtp"][0]) - forced).abs().max().item()
        parameter.copy_(kept)
    assert set(moved) == set(read_checkpoint(checkpoint))
    low = min(moved, key=moved.get)
    assert moved[low] > 0.02, (low, moved[low])
    print(f"least visible tensor: {low}, logits move by {moved[low]:.3f}")
    return OrderedDict(sorted(moved.items(), key=lambda item: item[1]))


def mtp_logits(engine, inputs):
    states = engine.model(input_ids=inputs["input_ids"], output_hidden_states=True).hidden_states
    positions = torch.arange(states[0].shape[1] - 1)[None]
    return engine.logits(engine.mtp(states[-1][:, :-1], states[0][:, 1:], positions)[-1])


def precision_table(precision):
    lines = [
        "Distances between runs of the reference, per tensor. `fp64`: the fixture (fp32, eager) against an fp64 run. "
        "`sdpa`: the fixture against fp32 with the other attention. max = largest absolute difference, L2 = relative. "
        "Made by make_golden.py.",
    ]
    for stage, rows in precision.items():
        lines += ["", f"### {stage}", ""]
        if stage == "bf16":
            lines += ["| tensor | rms | bf16 max | bf16 L2 | same argmax | mean KL |", "|---|---|---|---|---|---|"]
            for key, row in rows.items():
                extra = f"{row['argmax_agreement']:.3f} | {row['mean_kl']:.2e}" if "mean_kl" in row else " | "
                lines.append(
                    f"| {key} | {row['rms']:.3g} | {row['bf16']['max_abs']:.2e} | {row['bf16']['rel_l2']:.2e} | {extra} |"
                )
            continue
        lines += ["| tensor | rms | fp64 max | fp64 L2 | sdpa max | sdpa L2 |", "|---|---|---|---|---|---|"]
        for key, row in rows.items():
            cells = [f"{row[l][m]:.2e}" if l in row else "" for l in ("fp64", "sdpa") for m in ("max_abs", "rel_l2")]
            lines.append(f"| {key} | {row['rms']:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def listing_table(recipe, listing):
    lines = [
        f"Every tensor of the fixtures of `{recipe['name']}`. in = input of the stage, out = what the reference gave. "
        "Shapes are row-major, last index fastest. Made by make_golden.py.",
    ]
    last = None
    for name, key, is_input, dtype, shape, text in listing:
        if name != last:
            lines += ["", f"### {name}.safetensors", "", "| tensor | | dtype | shape | meaning |", "|---|---|---|---|---|"]
            last = name
        lines.append(f"| {key} | {'in' if is_input else 'out'} | {dtype} | {shape} | {text} |")
    return "\n".join(lines) + "\n"


def verify(recipe, out):
    """Reads every fixture back, recomputes it from its own inputs with a freshly loaded model, compares bit by bit."""
    checkpoint, stages_dir = folders(recipe, out)
    fresh = tensor_list(recipe)
    for name, tensor in read_checkpoint(checkpoint).items():
        shape, mean, std = fresh.pop(name)
        values = torch.from_numpy(mean + std * random(recipe, name).standard_normal(shape)).float().bfloat16()
        assert torch.equal(values, tensor), name
    assert not fresh
    engine = Engine(checkpoint)
    stages, worst, results = build_stages(recipe, engine), 0.0, {}
    for name, stage in stages.items():
        file = load_file(stages_dir / f"{name}.safetensors")
        for key, tensor in stage[0].items():
            assert torch.equal(storable(tensor), file[key]), f"{name}: input {key}"
        inputs = OrderedDict((key, file[key]) for key in stage[0])
        outputs = engine.run(stage[1], inputs)
        results[name] = (inputs, outputs)
        assert set(outputs) | set(inputs) == set(file), name
        for key, tensor in outputs.items():
            tensor = storable(tensor)
            if not tensor.is_floating_point():
                assert torch.equal(tensor, file[key]), f"{name}: {key}"
            else:
                assert not torch.isnan(tensor).any()
                gap = distance(file[key], tensor)["max_abs"]
                worst = max(worst, gap)
                assert gap <= 2e-4, f"{name}: {key} {gap}"
        print(f"{name}: recomputed", flush=True)
    file = load_file(stages_dir / "bf16.safetensors")
    outputs, rows = bf16_stage(recipe, Engine(checkpoint, torch.bfloat16), results)
    assert set(outputs) == set(file)
    worst = max([worst] + [distance(file[key], outputs[key])["max_abs"] for key in outputs])
    assert rows == json.loads((stages_dir / "precision.json").read_text())["bf16"]
    summary = generate_summary(stages["generate"][2], *results["generate"])
    assert summary == json.loads((stages_dir / "generate.json").read_text())
    print(f"all fixtures recomputed; largest difference {worst}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--verify", action="store_true", help="recompute what is there instead of writing")
    arguments = parser.parse_args()
    recipe = json.loads(arguments.recipe.read_text())
    (verify if arguments.verify else make)(recipe, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
