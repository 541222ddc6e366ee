"""A lean training implementation of the EXAONE 4.5 architecture with the checkpoint's own parameter names.

It computes what transformers' Exaone4_5_ForConditionalGeneration computes (check_parity.py compares them), but on
batches of equally sized pictures, without cache, and with the MTP module that transformers leaves out.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocab_size: int = 1536
    hidden_size: int = 256
    intermediate_size: int = 512
    num_hidden_layers: int = 8
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    sliding_window: int = 64
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1e6
    rope_factor: float = 16.0
    rope_low: float = 1.0
    rope_high: float = 4.0
    rope_original: int = 8192
    v_depth: int = 4
    v_hidden: int = 128
    v_intermediate: int = 512
    v_heads: int = 4
    v_kv_heads: int = 2
    v_patch: int = 14
    v_merge: int = 2
    v_temporal: int = 2
    v_window: int = 112
    v_full: tuple = (1, 3)
    image_token: int = 67
    video_token: int = 68

    def is_sliding(self, i):
        return i % 4 != 3


class RMSNorm(nn.Module):
    def __init__(self, n, eps, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((n,), gain))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def rope_frequencies(c):
    """llama3 rule."""
    f = c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim)
    w = 2 * math.pi / f
    s = (c.rope_original / w - c.rope_low) / (c.rope_high - c.rope_low)
    mid = (1 - s) * f / c.rope_factor + s * f
    return torch.where(
        w < c.rope_original / c.rope_high, f, torch.where(w > c.rope_original / c.rope_low, f / c.rope_factor, mid)
    )


def rotate(x, cos, sin):
    h = x.shape[-1] // 2
    a, b = x[..., :h], x[..., h:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self, c, sliding):
        super().__init__()
        self.c, self.sliding = c, sliding
        d, hd = c.hidden_size, c.head_dim
        self.q_proj = nn.Linear(d, c.num_attention_heads * hd, bias=False)
        self.k_proj = nn.Linear(d, c.num_key_value_heads * hd, bias=False)
        self.v_proj = nn.Linear(d, c.num_key_value_heads * hd, bias=False)
        self.o_proj = nn.Linear(c.num_attention_heads * hd, d, bias=False)
        self.q_norm = RMSNorm(hd, c.rms_norm_eps)
        self.k_norm = RMSNorm(hd, c.rms_norm_eps)

    def forward(self, x, cos, sin, band):
        c = self.c
        b, t, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(b, t, -1, c.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(b, t, -1, c.head_dim)).transpose(1, 2)
        v = self.v_proj(x).view(b, t, -1, c.head_dim).transpose(1, 2)
        if self.sliding:
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        g = c.num_attention_heads // c.num_key_value_heads
        k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        if self.sliding and band is not None:
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=band)
        else:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(a.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, d, m, bias=False):
        super().__init__()
        self.gate_proj = nn.Linear(d, m, bias=bias)
        self.up_proj = nn.Linear(d, m, bias=bias)
        self.down_proj = nn.Linear(m, d, bias=bias)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    def __init__(self, c, sliding):
        super().__init__()
        self.self_attn = Attention(c, sliding)
        self.mlp = MLP(c.hidden_size, c.intermediate_size)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps, 0.5)
        self.post_feedforward_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps, 0.5)

    def forward(self, x, cos, sin, band):
        x = x + self.post_attention_layernorm(self.self_attn(x, cos, sin, band))
        return x + self.post_feedforward_layernorm(self.mlp(x))


class LanguageModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(c, c.is_sliding(i)) for i in range(c.num_hidden_layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.register_buffer("freq", rope_frequencies(c), persistent=False)

    def tables(self, t):
        """cos, sin [t, head_dim/2] and the sliding mask (None where causal alone says the same)."""
        ang = torch.arange(t, dtype=torch.float32)[:, None] * self.freq
        band = None
        if t > self.c.sliding_window:
            i = torch.arange(t)
            band = (i[None] <= i[:, None]) & (i[None] > i[:, None] - self.c.sliding_window)
        return ang.cos(), ang.sin(), band

    def forward(self, x):
        cos, sin, band = self.tables(x.shape[1])
        for layer in self.layers:
            x = layer(x, cos, sin, band)
        return self.norm(x)


class VisionAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.hd = c, c.v_hidden // c.v_heads
        self.kv = c.v_kv_heads * self.hd
        self.qkv = nn.Linear(c.v_hidden, c.v_hidden + 2 * self.kv)
        self.proj = nn.Linear(c.v_hidden, c.v_hidden)

    def forward(self, x, cos, sin, mask):
        c = self.c
        b, n, _ = x.shape
        q, k, v = (s.view(b, n, -1, self.hd).transpose(1, 2) for s in self.qkv(x).split([c.v_hidden, self.kv, self.kv], -1))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        g = c.v_heads // c.v_kv_heads
        a = F.scaled_dot_product_attention(q, k.repeat_interleave(g, 1), v.repeat_interleave(g, 1), attn_mask=mask)
        return self.proj(a.transpose(1, 2).reshape(b, n, -1))


class VisionBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(c.v_hidden, 1e-6), RMSNorm(c.v_hidden, 1e-6)
        self.attn = VisionAttention(c)
        self.mlp = MLP(c.v_hidden, c.v_intermediate, bias=True)

    def forward(self, x, cos, sin, mask):
        x = x + self.attn(self.norm1(x), cos, sin, mask)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.proj = nn.Conv3d(3, c.v_hidden, (c.v_temporal, c.v_patch, c.v_patch), bias=False)

    def forward(self, x):
        return F.linear(x, self.proj.weight.flatten(1))


class Merger(nn.Module):
    def __init__(self, c):
        super().__init__()
        w = c.v_hidden * c.v_merge**2
        self.ln_q = RMSNorm(c.v_hidden, 1e-6)
        self.mlp = nn.Sequential(nn.Linear(w, w), nn.GELU(), nn.Linear(w, c.hidden_size))

    def forward(self, x):
        return self.mlp(self.ln_q(x).flatten(-2).view(x.shape[0], -1, self.mlp[0].in_features))


class Visual(nn.Module):
    """Frames of one size [B, patches, 1176] in merge-block order -> features [B, patches/4, hidden_size].

    transformers reorders the patches window by window; here the same windows are a mask, which gives the same sums.
    """

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.patch_embed = PatchEmbed(c)
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c.v_depth))
        self.merger = Merger(c)
        self.cache = {}

    def grid(self, h, w):
        if (h, w) not in self.cache:
            m = self.c.v_merge
            rows = torch.arange(h)[:, None].expand(h, w).reshape(h // m, m, w // m, m).permute(0, 2, 1, 3).flatten()
            cols = torch.arange(w)[None].expand(h, w).reshape(h // m, m, w // m, m).permute(0, 2, 1, 3).flatten()
            hd = self.c.v_hidden // self.c.v_heads
            inv = 10000.0 ** (-torch.arange(0, hd // 2, 2, dtype=torch.float32) / (hd // 2))
            ang = torch.cat((rows[:, None] * inv, cols[:, None] * inv), -1)
            side = self.c.v_window // self.c.v_patch
            win = rows // side * 1000 + cols // side
            mask = win[:, None] == win[None]
            self.cache[h, w] = ang.cos(), ang.sin(), (None if bool(mask.all()) else mask)
        return self.cache[h, w]

    def forward(self, x, h, w):
        cos, sin, mask = self.grid(h, w)
        x = self.patch_embed(x)
        for i, blk in enumerate(self.blocks):
            x = blk(x, cos, sin, None if i in self.c.v_full else mask)
        return self.merger(x)


class MTP(nn.Module):
    """The draft module: one sliding layer on concat[RMS(embed[next]), RMS(hidden)]."""

    def __init__(self, c):
        super().__init__()
        self.fc = nn.Linear(2 * c.hidden_size, c.hidden_size, bias=False)
        self.pre_fc_norm_embedding = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.pre_fc_norm_hidden = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.layers = nn.ModuleList([DecoderLayer(c, True)])
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)

    def draft(self, emb, hid, step, cache, freq, window):
        """Draft number `step` (1, 2, ...) of all chains of a sequence at once.

        emb, hid [B, T, d]: for the chain that starts at position t, the row of token t+step and the hidden state that
        draft continues (the trunk's at t for step 1, the previous draft's output after that). As an engine does, the
        chain sees the step-1 keys of positions up to t, then its own later drafts. cache collects [(k, v)] of the steps.
        """
        layer, c = self.layers[0], self.layers[0].self_attn.c
        at = layer.self_attn
        x = self.fc(torch.cat((self.pre_fc_norm_embedding(emb), self.pre_fc_norm_hidden(hid)), -1))
        b, t, _ = x.shape
        ang = (torch.arange(t, dtype=torch.float32) + step - 1)[:, None] * freq
        cos, sin = ang.cos(), ang.sin()
        g = c.num_attention_heads // c.num_key_value_heads
        q = rotate(at.q_norm(at.q_proj(x).view(b, t, -1, c.head_dim)).transpose(1, 2), cos, sin)
        k = rotate(at.k_norm(at.k_proj(x).view(b, t, -1, c.head_dim)).transpose(1, 2), cos, sin).repeat_interleave(g, 1)
        v = at.v_proj(x).view(b, t, -1, c.head_dim).transpose(1, 2).repeat_interleave(g, 1)
        cache.append((k, v))
        i = torch.arange(t)
        sees = (i[None] <= i[:, None]) & (i[None] > i[:, None] + step - 1 - window)
        s = (q @ cache[0][0].transpose(2, 3)).masked_fill(~sees, float("-inf"))
        s = torch.cat([s] + [(q * kk).sum(-1, keepdim=True) for kk, _ in cache[1:]], -1)
        p = (s * c.head_dim**-0.5).softmax(-1)
        a = p[..., :t] @ cache[0][1]
        for n, (_, vv) in enumerate(cache[1:]):
            a = a + p[..., t + n : t + n + 1] * vv
        x = x + layer.post_attention_layernorm(at.o_proj(a.transpose(1, 2).reshape(b, t, -1)))
        return self.norm(x + layer.post_feedforward_layernorm(layer.mlp(x)))


class Inner(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.language_model = LanguageModel(c)
        self.visual = Visual(c)


class TinyExaone(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.model = Inner(c)
        self.lm_head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)
        self.mtp = MTP(c)
        self.init()

    def init(self):
        for n, p in self.named_parameters():
            if n.endswith("embed_tokens.weight"):
                nn.init.normal_(p, std=0.5)
            elif n.endswith("lm_head.weight"):
                nn.init.normal_(p, std=0.02)
            elif p.dim() >= 2:
                nn.init.normal_(p, std=(p[0].numel()) ** -0.5)
            elif n.endswith("bias"):
                nn.init.zeros_(p)
        for b in self.model.visual.blocks:  # pre-norm tower: start its branches small
            nn.init.normal_(b.attn.proj.weight, std=0.02)
            nn.init.normal_(b.mlp.down_proj.weight, std=0.01)

    def embed(self, ids, frames=None, grid=None):
        """ids [B, T]; frames [n, patches, 1176] with all pictures or frame pairs in reading order."""
        x = self.model.language_model.embed_tokens(ids)
        if frames is not None:
            f = self.features = self.model.visual(frames, *grid).reshape(-1, x.shape[-1])
            at = ((ids == self.c.image_token) | (ids == self.c.video_token)).flatten().nonzero().squeeze(1)
            x = x.view(-1, x.shape[-1]).index_copy(0, at, f).view(x.shape)
        return x

    def hidden(self, ids, frames=None, grid=None):
        x = self.embed(ids, frames, grid)
        return self.model.language_model(x), x


MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]) * 255
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]) * 255


def patches(x):
    """uint8 [n, 2, H, W, 3] frame pairs -> float [n, patches, 1176], grid. Same order as the processor, section 4.3."""
    n, t, h, w, _ = x.shape
    x = (x.float() - MEAN) / STD
    x = x.permute(0, 4, 1, 2, 3).reshape(n, 3, 2, h // 28, 2, 14, w // 28, 2, 14)
    x = x.permute(0, 3, 6, 4, 7, 1, 2, 5, 8)
    return x.reshape(n, (h // 14) * (w // 14), 1176), (h // 14, w // 14)
