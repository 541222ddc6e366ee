/* The inside of exaone_weights, for the files that fill it. */
#ifndef EXAONE_WEIGHTS_INTERNAL_H
#define EXAONE_WEIGHTS_INTERNAL_H

#include "base/file.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

enum { EXAONE_MAX_MODEL_FILES = 4096 };

typedef struct exaone_weights_file {
    char *path;
    exaone_map map;          /* safetensors */
    exaone_safetensors list; /* safetensors */
    exaone_gguf *gguf;       /* GGUF */
    bool is_mmproj;
} exaone_weights_file;

/* Aligned copies of tensors that are not aligned in their file. */
typedef struct exaone_weights_copies {
    struct {
        const uint8_t *from;
        void *to;
    } * items;
    size_t count, cap;
} exaone_weights_copies;

struct exaone_weights {
    exaone_weights_format format;
    char *dir;
    exaone_weights_file *files; /* [n_files]; GGUF: the pieces in order, then the mmproj file if any */
    size_t n_files, cap_files;
    exaone_weight *list; /* [count] in the order of the files */
    size_t count, cap;
    const exaone_weight **by_name; /* [count] */
    size_t n_main;                 /* GGUF: decoder layers without the MTP layer */
    size_t mmproj_candidates;
    exaone_weights_copies *copies;
};

/* Each fills an empty exaone_weights whose dir is set; what it leaves on failure is released by exaone_weights_close. */
EXAONE_MUST_USE exaone_status exaone_weights_fill_folder(exaone_weights *w, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_weights_fill_safetensors(exaone_weights *w, const char *path, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_weights_fill_gguf(exaone_weights *w, const char *path, const char *mmproj,
                                                       exaone_error *err);

/* A new last file; NULL when out of memory (err is written). Takes a copy of the path. */
exaone_weights_file *exaone_weights_add_file(exaone_weights *w, const char *path, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_weights_add(exaone_weights *w, const exaone_weight *weight, exaone_error *err);

/* The mmproj file beside a GGUF model: *out (free) is NULL when there is none that fits it; *candidates = files looked at.
 */
EXAONE_MUST_USE exaone_status exaone_mmproj_find(const char *dir, const char *model_path, const exaone_gguf *model,
                                                 char **out, size_t *candidates, exaone_error *err);
/* The only GGUF model in a folder (mmproj files and later pieces do not count); *out is NULL when there is none. */
EXAONE_MUST_USE exaone_status exaone_gguf_find_model(const char *dir, char **out, exaone_error *err);

#endif
