/* Names of tensors in both formats: see names.h. */
#include "weights/names.h"

#include <stdio.h>
#include <string.h>

typedef struct pair {
    const char *checkpoint, *gguf;
} pair;

/* Behind "model.language_model.layers.N." and "blk.N."; the MTP layer is block n_main. */
static const pair LAYER[] = {
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    {NULL, NULL},
};

/* Behind "mtp." and "blk.(n_main)." */
static const pair MTP[] = {
    {"fc.weight", "nextn.eh_proj.weight"},
    {"pre_fc_norm_embedding.weight", "nextn.enorm.weight"},
    {"pre_fc_norm_hidden.weight", "nextn.hnorm.weight"},
    {"norm.weight", "nextn.shared_head_norm.weight"},
    {NULL, NULL},
};

/* Behind "model.visual.blocks.N." and "v.blk.N." */
static const pair BLOCK[] = {
    {"norm1.weight", "ln1.weight"},
    {"norm2.weight", "ln2.weight"},
    {"attn.qkv.weight", "attn_qkv.weight"},
    {"attn.qkv.bias", "attn_qkv.bias"},
    {"attn.proj.weight", "attn_out.weight"},
    {"attn.proj.bias", "attn_out.bias"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.gate_proj.bias", "ffn_gate.bias"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.up_proj.bias", "ffn_up.bias"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"mlp.down_proj.bias", "ffn_down.bias"},
    {NULL, NULL},
};

static const pair WHOLE[] = {
    {"model.language_model.embed_tokens.weight", "token_embd.weight"},
    {"model.language_model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"rope_freqs.weight", "rope_freqs.weight"},
    {NULL, NULL},
};

/* MODEL: GGUF holds the two temporal slices of the patch embedding apart. */
static const pair VISION[] = {
    {"patch_embed.proj.weight.0", "v.patch_embd.weight"},
    {"patch_embed.proj.weight.1", "v.patch_embd.weight.1"},
    {"merger.ln_q.weight", "v.post_ln.weight"},
    {"merger.mlp.0.weight", "mm.0.weight"},
    {"merger.mlp.0.bias", "mm.0.bias"},
    {"merger.mlp.2.weight", "mm.2.weight"},
    {"merger.mlp.2.bias", "mm.2.bias"},
    {NULL, NULL},
};

static const char *find(const pair *table, const char *name) {
    for (; table->checkpoint; table++) {
        if (strcmp(table->checkpoint, name) == 0) {
            return table->gguf;
        }
    }
    return NULL;
}

static const char *behind(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

/* "N.rest": the rest, and N of at most six digits without leading zeros; NULL otherwise. */
static const char *index_of(const char *name, size_t *index) {
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 6 || name[digits] != '.' || (name[0] == '0' && digits > 1)) {
        return NULL;
    }
    *index = 0;
    for (size_t i = 0; i < digits; i++) {
        *index = *index * 10 + (size_t)(name[i] - '0');
    }
    return name + digits + 1;
}

static bool put(char out[EXAONE_NAME_ROOM], const char *prefix, size_t index, const char *rest) {
    if (!rest) {
        return false;
    }
    snprintf(out, EXAONE_NAME_ROOM, "%s.%zu.%s", prefix, index, rest);
    return true;
}

bool exaone_names_to_gguf(const char *name, size_t n_main, char out[EXAONE_NAME_ROOM], bool *vision) {
    *vision = false;
    size_t index;
    const char *rest = find(WHOLE, name);
    if (rest) {
        snprintf(out, EXAONE_NAME_ROOM, "%s", rest);
        return true;
    }
    if ((rest = behind(name, "model.language_model.layers."))) {
        rest = index_of(rest, &index);
        return rest && index < n_main && put(out, "blk", index, find(LAYER, rest));
    }
    if ((rest = behind(name, "mtp.layers.0."))) {
        return put(out, "blk", n_main, find(LAYER, rest));
    }
    if ((rest = behind(name, "mtp."))) {
        return put(out, "blk", n_main, find(MTP, rest));
    }
    *vision = true;
    if ((rest = behind(name, "model.visual.blocks."))) {
        rest = index_of(rest, &index);
        return rest && put(out, "v.blk", index, find(BLOCK, rest));
    }
    rest = behind(name, "model.visual.");
    rest = rest ? find(VISION, rest) : NULL;
    if (rest) {
        snprintf(out, EXAONE_NAME_ROOM, "%s", rest);
    }
    return rest != NULL;
}

bool exaone_names_any_to_gguf(const char *name, size_t n_main, char out[EXAONE_NAME_ROOM], bool *vision) {
    static const char *const spellings[][2] = {{"", ""},
                                               {"language_model.model.", "model.language_model."},
                                               {"language_model.lm_head.", "lm_head."},
                                               {"visual.", "model.visual."},
                                               {"model.", "model.language_model."}};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        char full[2 * EXAONE_NAME_ROOM];
        size_t n = strlen(spellings[i][0]);
        if (strncmp(name, spellings[i][0], n) == 0 && strlen(name) < EXAONE_NAME_ROOM) {
            snprintf(full, sizeof full, "%s%s", spellings[i][1], name + n);
            if (exaone_names_to_gguf(full, n_main, out, vision)) {
                return true;
            }
        }
    }
    return false;
}
