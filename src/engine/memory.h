/* The memory of a session, before there is one. */
#ifndef EXAONE_ENGINE_MEMORY_H
#define EXAONE_ENGINE_MEMORY_H

#include "engine/engine_internal.h"

/* The cache of a session that is full. */
exaone_kv_bytes exaone_session_kv_bytes(const exaone_config *config, const exaone_session_options *options);
/* Everything else that it takes: buffers of a forward call, ids, logits. UINT64_MAX when it does not fit. */
uint64_t exaone_session_workspace_bytes(const exaone_config *config, const exaone_session_options *options);

#endif
