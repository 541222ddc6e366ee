/* The hub's settings from the environment, as Python's huggingface_hub reads them: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME,
 * HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE; proxies and certificates as curl does. */
#ifndef EXAONE_CLI_HUB_H
#define EXAONE_CLI_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/hub.h"

typedef struct cli_hub {
    exaone_hub_options options; /* points into this struct and the environment */
    char cache[4096];
    char token[1024];
} cli_hub;

/* False (message printed) when a path is too long or there is no home folder. */
bool cli_hub_init(cli_hub *hub);

/* "19.3 GB"; returns out. */
const char *cli_hub_size(unsigned long long bytes, char out[32]);

/* A model's name or path to what the engine opens: paths that exist and words that are no REPO[:QUANT] are returned as they
 * are, others are looked up in the cache (static memory). NULL: not there, message printed. */
const char *cli_hub_model(const char *given);

#endif
