/* The memory of a session, before there is one. */
#ifndef EXAONE_ENGINE_MEMORY_H
#define EXAONE_ENGINE_MEMORY_H

#include "engine/engine_internal.h"

/* n_ctx and batch of the options as they come to count: 0 is replaced by the default, n_ctx cut at nothing. */
uint64_t exaone_session_context(const exaone_config *config, const exaone_session_options *options);
uint64_t exaone_session_chunk(const exaone_session_options *options);

/* The cache of a session that is full, and everything else that it takes: forward buffers, ids, logits. UINT64_MAX when it
 * does not fit. */
exaone_kv_bytes exaone_session_kv_bytes(const exaone_config *config, const exaone_session_options *options);
uint64_t exaone_session_workspace_bytes(const exaone_config *config, const exaone_session_options *options);

#endif
