/* The insides of an engine, shared by the files of this folder. */
#ifndef EXAONE_ENGINE_INTERNAL_H
#define EXAONE_ENGINE_INTERNAL_H

#include "base/pool.h"
#include "engine/features.h"
#include "exaone/engine.h"
#include "model/model.h"

/* Tokens of one forward call of a session, and patches of one vision pass unless a single frame has more. */
enum { EXAONE_PREFILL_CHUNK = 256, EXAONE_MAX_VISION_PATCHES = 16384 };
enum { EXAONE_FEATURE_BUDGET = 256 << 20 }; /* bytes of the feature cache */

struct exaone_engine {
    exaone_config config;
    exaone_weights *weights;
    exaone_pool *pool;
    exaone_parallel parallel;
    exaone_backend *be;
    exaone_precision precision;
    exaone_model model;
    exaone_feature_cache features;
    exaone_tokenizer *tokenizer;
    exaone_processor_config processor;
    exaone_generation_defaults defaults;
    exaone_model_info info;
    char *chat_template; /* NUL-terminated, or NULL */
    size_t chat_template_len;
};

#endif
