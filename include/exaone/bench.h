/* Measuring: what this machine can do at most, what a model does on it, and models of random weights to measure with.
 *
 * Every call measures once and says how long it took; taking medians is the caller's work (`exaone bench`). A wall is the
 * time that nothing can beat: bytes that must be read over the measured bandwidth, or multiply-adds over the measured peak,
 * whichever is longer. What counts as what: docs/performance.md, "How to measure". */
#ifndef EXAONE_BENCH_H
#define EXAONE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/engine.h"
#include "exaone/status.h"
#include "exaone/tensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the machine ---- */

typedef enum { EXAONE_PEAK_FMA, EXAONE_PEAK_INT8, EXAONE_PEAK_BF16 } exaone_peak_kind;

/* One loop that does nothing but multiply and add in registers. */
typedef struct exaone_peak {
    exaone_peak_kind kind; /* f32 fused multiply-add; 8-bit products into 32 bits; pairs of bf16 into f32 */
    const char *name;      /* of the instructions: "avx2", "avx-vnni", "avx512-vnni" … */
    const char *level;     /* lowest level of kernels that may use them: "scalar", "avx2", "avx512" … */
} exaone_peak;

/* Number i of those that this processor can run, from 0 on; false behind the last. */
EXAONE_API bool exaone_bench_peak(size_t i, exaone_peak *out);
/* Multiply-adds per second of number i with so many threads, over about `seconds`. Errors: EXAONE_ERR_ARGUMENT (no such
 * number), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_peak_run(size_t i, int threads, double seconds,
                                                               double *macs_per_second, exaone_error *err);
/* Whether a level of kernels (exaone_model_info) may use the instructions of a peak. */
EXAONE_API bool exaone_bench_peak_within(const exaone_peak *peak, const char *cpu_level);
/* Bytes per second of threads that read `bytes` of memory once from begin to end; the best of several passes within about
 * `seconds`. Errors: EXAONE_ERR_MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_bandwidth(size_t bytes, int threads, double seconds,
                                                                double *bytes_per_second, exaone_error *err);

/* ---- models of random weights ---- */

enum { EXAONE_SYNTHETIC_LAYERS = 64 }; /* decoder layers of the 33B */

/* Asked during long work; true ends it (EXAONE_ERR_CANCELLED). */
typedef bool exaone_bench_stop_fn(void *ctx);

typedef struct exaone_synthetic_options {
    const char *type;           /* of the text weights: a name of exaone_quantize_types; NULL: Q4_K_M */
    int layers;                 /* 1 .. 64 decoder layers; 0: 64 */
    bool no_vision;             /* leave out the vision tower: only a text file */
    bool no_tokenizer;          /* leave out the made-up tokenizer of 153,600 entries */
    exaone_bench_stop_fn *stop; /* asked before each tensor; NULL: nobody */
    void *ctx;                  /* of stop */
} exaone_synthetic_options;

/* What a synthetic model holds: the shapes of EXAONE 4.5 33B with `layers` of its 64 decoder layers, its MTP block and its
 * vision tower (BF16). */
typedef struct exaone_synthetic_size {
    int layers;
    uint64_t text_bytes, mmproj_bytes;                   /* of the two files */
    uint64_t layer_weights, mtp_weights, output_weights; /* numbers in one decoder layer, the MTP block, lm_head */
    uint64_t embedding_weights, vision_weights;          /* in embed_tokens, the vision tower */
    uint64_t text_bytes_64;                              /* of the text file with all 64 layers */
} exaone_synthetic_size;

typedef struct exaone_synthetic exaone_synthetic;

/* `options` may be NULL. Errors: EXAONE_ERR_ARGUMENT (unknown type, layers out of range), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_synthetic_measure(const exaone_synthetic_options *options,
                                                                  exaone_synthetic_size *out, exaone_error *err);
/* Makes a GGUF pair in memory (no file system is involved) that exaone_engine_open opens under the two paths. The caller
 * asks exaone_memory_available first. Owned by the caller: exaone_synthetic_close, after the engine. Errors: those, and
 * EXAONE_ERR_IO (the system gave no memory file), _CANCELLED. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_synthetic_open(const exaone_synthetic_options *options,
                                                               exaone_synthetic **out, exaone_error *err);
EXAONE_API void exaone_synthetic_close(exaone_synthetic *s);               /* NULL is fine */
EXAONE_API const char *exaone_synthetic_path(const exaone_synthetic *s);   /* of the text weights */
EXAONE_API const char *exaone_synthetic_mmproj(const exaone_synthetic *s); /* of the vision tower; NULL with no_vision */
/* The same as two files. A file that is there already is EXAONE_ERR_ARGUMENT unless `force`; `mmproj` may be NULL: as
 * with no_vision. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_synthetic_write(const exaone_synthetic_options *options, const char *path,
                                                                const char *mmproj, bool force, exaone_error *err);

/* ---- a model ---- */

typedef struct exaone_bench exaone_bench;

typedef struct exaone_bench_options {
    size_t n_ctx;                                 /* longest context, the measured rows included; 0: 4096 */
    size_t batch;                                 /* most rows of one forward call; 0: as exaone_session_options */
    exaone_cache_type cache_type_k, cache_type_v; /* as exaone_session_options */
} exaone_bench_options;

/* What a pass must at least move and compute. */
typedef struct exaone_bench_cost {
    double weight_bytes; /* of matrices read, once per forward call */
    double kv_bytes;     /* of keys and values read, once per forward call and key/value head */
    double int8_macs;    /* multiply-adds of quantised matrices */
    double fma_macs;     /* of matrices in f32 and f16 and of attention */
    double bf16_macs;    /* of matrices in bf16 */
} exaone_bench_cost;

/* One measurement: seconds and cost of the part that repeats with the layers and of the part that does not (output matrix;
 * everything in a draft step and in the vision tower). */
typedef struct exaone_bench_pass {
    double layer_seconds, fixed_seconds;
    exaone_bench_cost layers, fixed;
} exaone_bench_pass;

/* `options` may be NULL. The engine must outlive it; nobody else may compute on the engine meanwhile. Errors:
 * EXAONE_ERR_LIMIT (n_ctx above the model's), _MEMORY. Owned by the caller: exaone_bench_close. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_open(exaone_engine *engine, const exaone_bench_options *options,
                                                           exaone_bench **out, exaone_error *err);
EXAONE_API void exaone_bench_close(exaone_bench *b); /* NULL is fine */
/* Bytes of keys and values of n_ctx tokens, and of the buffers, that exaone_bench_open takes in the end. */
EXAONE_API uint64_t exaone_bench_bytes(const exaone_engine *engine, const exaone_bench_options *options);
/* Makes the timeline `n` tokens long: its keys and values are random numbers, nothing is evaluated. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_context(exaone_bench *b, size_t n, exaone_error *err);
/* Evaluates `rows` tokens behind the context, in calls of at most options.batch, with the logits of the last `n_logits`; the
 * timeline stays as it was. `stop` (may be NULL) is asked between calls. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_rows(exaone_bench *b, size_t rows, size_t n_logits,
                                                           exaone_bench_stop_fn *stop, void *ctx, exaone_bench_pass *out,
                                                           exaone_error *err);
/* One step of the draft module and its logits. EXAONE_ERR_MODEL: the model has none. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_draft(exaone_bench *b, exaone_bench_pass *out, exaone_error *err);
/* Encodes random pixels: `frames` frames (1: an image) of height x width, multiples of 28 that the model's patches divide.
 * *patches = patches encoded. EXAONE_ERR_MODEL: the model has no vision tower. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_bench_vision(exaone_engine *engine, size_t frames, size_t height,
                                                             size_t width, exaone_bench_stop_fn *stop, void *ctx,
                                                             size_t *patches, exaone_bench_pass *out, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
