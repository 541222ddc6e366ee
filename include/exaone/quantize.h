/* Writing GGUF files: a Hugging Face folder or a GGUF model becomes a text file and an mmproj file of chosen types.
 *
 *   exaone_quantize_options o = {.type = "Q4_K_M"};
 *   exaone_quantize("models/EXAONE-4.5-33B", "EXAONE-4.5-33B-Q4_K_M.gguf", &o, NULL, &err)
 *
 * Types, mixes and fallbacks: docs/quantisation.md. Tensors are read, written and forgotten one after the other. The files
 * get their names when all of them are complete; before that, and after a failure, only the old ones are there. */
#ifndef EXAONE_QUANTIZE_H
#define EXAONE_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_quantize_progress {
    const char *tensor; /* GGUF name of the one in work */
    const char *type;   /* that it is written in */
    size_t index, count;
    uint64_t done, total; /* bytes of the source's tensors */
} exaone_quantize_progress;

/* Called several times a second from the thread that called exaone_quantize; false stops (EXAONE_ERR_CANCELLED). */
typedef bool exaone_quantize_progress_fn(void *ctx, const exaone_quantize_progress *progress);
/* One sentence that the user should see: a fallback, a source that is quantised already, a file that was kept. */
typedef void exaone_quantize_note_fn(void *ctx, const char *text);

/* Tensors with two or more dimensions whose GGUF name matches `pattern` get `type` (a name of exaone_quantize_tensor_types).
 * In a pattern, * stands for any characters, ? for one and [abc] for one of these; it must match the whole name. */
typedef struct exaone_quantize_override {
    const char *pattern, *type;
} exaone_quantize_override;

/* Zero is the default everywhere. */
typedef struct exaone_quantize_options {
    const char *type;          /* of the text file: a name of exaone_quantize_types; NULL: every tensor keeps its own */
    const char *mmproj_source; /* GGUF sources: the mmproj file; NULL: the one beside the model */
    const char *mmproj_out;    /* NULL: beside the target, mmproj-NAME-TYPE.gguf; kept when it is there already */
    const char *mmproj_type;   /* F32, F16, BF16 or Q8_0; NULL: F16 for an F16 source and BF16 for others; without `type`:
                                  every tensor keeps its own */
    const exaone_quantize_override *overrides; /* [n_overrides]; the first that matches counts */
    size_t n_overrides;
    const char *imatrix; /* file of importance matrices, which weigh the error per column; NULL: all alike */
    uint64_t split_size; /* bytes of tensors in a piece of the text file (a larger tensor gets its own); 0: one file */
    bool no_mmproj;      /* only the text file */
    bool force;          /* replace files that are there */
    int threads;         /* 0: as exaone_engine_options */
    exaone_quantize_progress_fn *progress; /* NULL: none */
    exaone_quantize_note_fn *note;         /* NULL: none */
    void *ctx;                             /* of both */
} exaone_quantize_options;

typedef struct exaone_quantize_report {
    size_t n_tensors, n_fallbacks;     /* fallbacks: rows that the wanted type's block does not divide */
    size_t n_pieces;                   /* files of the text model */
    uint64_t source_bytes;             /* of the tensors read */
    uint64_t text_bytes, mmproj_bytes; /* sizes of the files; mmproj 0: none was written */
    double bits_per_weight;            /* of the text model's tensors */
    char mmproj_path[1024];            /* of the mmproj file that was written, cut when longer; "" */
    char text_path[1024];              /* of the text file or its first piece, cut when longer */
} exaone_quantize_report;

/* `source`: a Hugging Face folder, a .safetensors file or a GGUF model. `target`: the text file; with split_size its name
 * without .gguf is continued as -00001-of-0000N.gguf. `report` may be NULL. Errors: EXAONE_ERR_ARGUMENT (unknown type, a
 * pattern that matches nothing, a target that is there already or is the source, a weight that is not finite: tensor, row,
 * column), EXAONE_ERR_IO (also when the disk has too little room: bytes needed and free), _FORMAT, _MODEL, _UNSUPPORTED,
 * _MEMORY, _CANCELLED. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_quantize(const char *source, const char *target,
                                                         const exaone_quantize_options *options,
                                                         exaone_quantize_report *report, exaone_error *err);

/* The i-th name, NULL behind the last. Types of files ("Q4_K_M": a mix) and of single tensors ("Q4_K"). */
EXAONE_API const char *exaone_quantize_types(size_t i);
EXAONE_API const char *exaone_quantize_tensor_types(size_t i);

#ifdef __cplusplus
}
#endif
#endif
