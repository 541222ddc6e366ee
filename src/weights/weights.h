/* The weight files of a model behind one question: "the tensor NAME of SHAPE in one of these TYPES".
 *
 * Files are mapped read-only, never copied; opening reads headers only and touches no tensor data. Names are those of the
 * Hugging Face checkpoint in both formats: model.language_model.embed_tokens.weight  model.language_model.norm.weight
 * lm_head.weight model.language_model.layers.N.self_attn.{q,k,v,o}_proj.weight, .self_attn.{q,k}_norm.weight,
 * .mlp.{gate,up,down}_proj.weight, .post_attention_layernorm.weight, .post_feedforward_layernorm.weight mtp.fc.weight
 * mtp.pre_fc_norm_embedding.weight  mtp.pre_fc_norm_hidden.weight  mtp.norm.weight  mtp.layers.0.(as layers.N)
 *   model.visual.patch_embed.proj.weight  model.visual.blocks.N.(norm1, norm2, attn.qkv, attn.proj, mlp.gate_proj …).weight,
 * .bias model.visual.merger.ln_q.weight  model.visual.merger.mlp.{0,2}.weight, .bias GGUF stores the patch embedding as its
 * two temporal slices: model.visual.patch_embed.proj.weight.0 and .1, each [hidden, 3, 14, 14], and may have
 * rope_freqs.weight. Checkpoints of text-only models say model.layers.N, which is found too.
 *
 * A file that another process makes shorter while it is mapped cannot be read safely: the kernel sends SIGBUS on access to
 * the lost pages, which no library may catch. Sizes are checked again after mapping (exaone_weights_recheck does it at any
 * later time); model files should be replaced by renaming, never rewritten in place. */
#ifndef EXAONE_WEIGHTS_WEIGHTS_H
#define EXAONE_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"
#include "tensor/dtype.h"

typedef struct exaone_gguf exaone_gguf;
typedef struct exaone_weights exaone_weights;

typedef enum { EXAONE_WEIGHTS_SAFETENSORS, EXAONE_WEIGHTS_GGUF } exaone_weights_format;
typedef enum {
    EXAONE_PART_TEXT,
    EXAONE_PART_VISION,
    EXAONE_PART_MTP,
    EXAONE_PART_OTHER,
    EXAONE_PART_COUNT
} exaone_weights_part;

typedef struct exaone_weight {
    const char *name; /* as in the file; belongs to the weights */
    exaone_dtype dtype;
    size_t n_dims;
    uint64_t dims[EXAONE_TENSOR_MAX_DIMS]; /* outermost first, as in Hugging Face files */
    const uint8_t *data;                   /* [bytes]; belongs to the weights, aligned to the element size when from _get */
    size_t bytes;
    const char *file; /* path of the file it is in; belongs to the weights */
    exaone_weights_part part;
} exaone_weight;

/* Opens
 *   a folder with model.safetensors, or model.safetensors.index.json and its shards;
 *   a folder with exactly one GGUF model (besides mmproj files);
 *   one .safetensors file (its folder is the model's folder);
 *   a GGUF text file, alone or the first piece of a split one (NAME-00001-of-0000N.gguf).
 * `mmproj`: the GGUF file of the vision tower; NULL: taken from beside a GGUF model when there is a file mmproj*.gguf or
 * *-mmproj*.gguf (of several the model's own by name, then F32 before BF16 before F16, then by name;
 * exaone_weights_mmproj_path says which). Errors: EXAONE_ERR_IO, _FORMAT, _MODEL, _ARGUMENT, _LIMIT, _MEMORY. Owned by the
 * caller: exaone_weights_close. */
EXAONE_MUST_USE exaone_status exaone_weights_open(const char *path, const char *mmproj, exaone_weights **out,
                                                  exaone_error *err);
/* The tensors of a Hugging Face checkpoint that is in no file: shapes to plan with. list [n]: `data` may be NULL; names stay
 * the caller's. Errors: EXAONE_ERR_FORMAT (a name twice), _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_weights_declare(const exaone_weight *list, size_t n, exaone_weights **out,
                                                     exaone_error *err);
void exaone_weights_close(exaone_weights *w); /* NULL is fine */

exaone_weights_format exaone_weights_get_format(const exaone_weights *w);
/* The model's folder (Hugging Face: where config.json and tokenizer.json are). */
const char *exaone_weights_dir(const exaone_weights *w);
/* GGUF metadata; NULL for safetensors (mmproj: NULL when there is none). */
const exaone_gguf *exaone_weights_gguf(const exaone_weights *w);
const exaone_gguf *exaone_weights_mmproj(const exaone_weights *w);
const char *exaone_weights_mmproj_path(const exaone_weights *w);    /* NULL when there is none */
const char *exaone_weights_path(const exaone_weights *w, size_t i); /* of the i-th file; NULL behind the last */
/* How many files it was chosen from when it was found, not named; 0 otherwise. */
size_t exaone_weights_mmproj_candidates(const exaone_weights *w);
uint64_t exaone_weights_mapped_bytes(const exaone_weights *w);

/* Every tensor in the files, for descriptions: i < count. The data may be of a type that this version cannot compute. */
size_t exaone_weights_count(const exaone_weights *w);
exaone_weight exaone_weights_at(const exaone_weights *w, size_t i);

bool exaone_weights_has(const exaone_weights *w, const char *name);
/* What the file calls the tensor `name`; NULL when it has none. Belongs to the weights. */
const char *exaone_weights_name(const exaone_weights *w, const char *name);

/* The tensor `name`, with exactly these dims and one of the types in `dtypes` (bits: EXAONE_DTYPE_BIT).
 * Errors: EXAONE_ERR_MODEL: absent ("NAME: not in FILE"), or "NAME: want [a, b], FILE has [c, d]"; EXAONE_ERR_UNSUPPORTED:
 * its type is not in `dtypes` ("NAME: FILE has it as Q4_K, want F32, F16 or BF16"); EXAONE_ERR_MEMORY: a tensor that is not
 * aligned in the file is copied once. Not for two threads at a time on the same weights. */
EXAONE_MUST_USE exaone_status exaone_weights_get(const exaone_weights *w, const char *name, uint64_t dtypes, size_t n_dims,
                                                 const uint64_t *dims, exaone_weight *out, exaone_error *err);

/* The same without a look at the type and the alignment: *out may have data of any type at any address. */
EXAONE_MUST_USE exaone_status exaone_weights_find(const exaone_weights *w, const char *name, size_t n_dims,
                                                  const uint64_t *dims, exaone_weight *out, exaone_error *err);

/* EXAONE_ERR_IO when a mapped file has become shorter since it was opened. */
EXAONE_MUST_USE exaone_status exaone_weights_recheck(const exaone_weights *w, exaone_error *err);

#endif
