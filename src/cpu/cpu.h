/* The CPU backend: the operations of backend.h over a thread pool and a kernel table. */
#ifndef EXAONE_CPU_H
#define EXAONE_CPU_H

#include "backend/backend.h"
#include "base/pool.h"

/* exaone_kernels_level */
const char *exaone_cpu_level_name(size_t i);

/* `pool` must outlive the backend. level: as exaone_kernels_init. Owned by the caller: be->close(be). */
EXAONE_MUST_USE exaone_status exaone_cpu_open(exaone_pool *pool, const char *level, exaone_precision precision,
                                              exaone_backend **out, exaone_error *err);

#endif
