/* The inside of config.h: its readers, and the common checks. */
#ifndef EXAONE_MODEL_CONFIG_INTERNAL_H
#define EXAONE_MODEL_CONFIG_INTERNAL_H

#include "model/config.h"

enum {
    EXAONE_DEFAULT_IMAGE_TOKEN = 67,
    EXAONE_DEFAULT_VIDEO_TOKEN = 68,
    EXAONE_DEFAULT_VISION_START_TOKEN = 73,
    EXAONE_DEFAULT_VISION_END_TOKEN = 74
};

/* A number of a file: where it stands, and what it may be. */
typedef struct exaone_config_field {
    const char *path, *name;
} exaone_config_field;

/* EXAONE_ERR_MODEL with field, value and limits when min <= value <= max does not hold (NaN never does). */
EXAONE_MUST_USE exaone_status exaone_config_check_int(exaone_config_field field, int64_t value, int64_t min, int64_t max,
                                                      int *out, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_config_check_double(exaone_config_field field, double value, double min, double max,
                                                         double *out, exaone_error *err);

/* Limits of the fields, used by both readers. */
enum {
    EXAONE_LIMIT_VOCAB = 1 << 24,
    EXAONE_LIMIT_SIZE = 1 << 20, /* hidden sizes */
    EXAONE_LIMIT_WIDE = 1 << 22, /* intermediate sizes */
    EXAONE_LIMIT_HEADS = 4096,
    EXAONE_LIMIT_CONTEXT = 1 << 30,
};
#define EXAONE_LIMIT_EPS 1.0
#define EXAONE_LIMIT_THETA 1e30

/* Checks that the numbers fit together, and the ids against the vocabulary. The paths stand in messages. */
EXAONE_MUST_USE exaone_status exaone_config_check(const exaone_config *config, const char *path, const char *vision_path,
                                                  exaone_error *err);

/* Fill an empty config; the caller releases it on failure. */
EXAONE_MUST_USE exaone_status exaone_config_read_gguf(const exaone_weights *weights, exaone_config *config,
                                                      exaone_error *err);

#endif
