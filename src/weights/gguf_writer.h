/* Writing GGUF files, version 3. Format: gguf.c.
 *
 *   exaone_gguf_writer w;
 *   exaone_gguf_writer_init(&w);
 *   exaone_gguf_put_u32(&w, "exaone4.block_count", 65); …
 *   exaone_gguf_put_tensor(&w, "output.weight", EXAONE_BF16, 2, ne, source, ctx);
 *   status = exaone_gguf_writer_save(&w, path, &err);
 *   exaone_gguf_writer_release(&w);
 *
 * Failures of the put functions (memory, an impossible size) are remembered and told by save. Tensor data is asked for while
 * the file is written, one tensor after the other, and not kept. */
#ifndef EXAONE_WEIGHTS_GGUF_WRITER_H
#define EXAONE_WEIGHTS_GGUF_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tensor/dtype.h"
#include "weights/gguf.h"
#include "weights/writer.h"

/* Writes the tensor's bytes, exactly as many as its shape has. Fails with err written. */
typedef exaone_status exaone_gguf_source(void *ctx, exaone_writer *out, exaone_error *err);

typedef struct exaone_gguf_out_tensor {
    exaone_gguf_source *source;
    void *ctx;
    size_t bytes;
    char name[256];
} exaone_gguf_out_tensor;

typedef struct exaone_gguf_writer {
    exaone_buf kvs, infos;
    uint64_t n_kv, n_tensors, offset; /* offset of the next tensor from the start of the data */
    exaone_gguf_out_tensor *tensors;
    size_t cap;
    bool failed;
} exaone_gguf_writer;

void exaone_gguf_writer_init(exaone_gguf_writer *w);
void exaone_gguf_writer_release(exaone_gguf_writer *w);

void exaone_gguf_put_u16(exaone_gguf_writer *w, const char *key, uint16_t value);
void exaone_gguf_put_i32(exaone_gguf_writer *w, const char *key, int32_t value);
void exaone_gguf_put_u32(exaone_gguf_writer *w, const char *key, uint32_t value);
void exaone_gguf_put_f32(exaone_gguf_writer *w, const char *key, float value);
void exaone_gguf_put_bool(exaone_gguf_writer *w, const char *key, bool value);
void exaone_gguf_put_string(exaone_gguf_writer *w, const char *key, const char *text, size_t n);
void exaone_gguf_put_text(exaone_gguf_writer *w, const char *key, const char *text); /* NUL-terminated */
void exaone_gguf_put_bools(exaone_gguf_writer *w, const char *key, const bool *values, size_t n);
void exaone_gguf_put_i32s(exaone_gguf_writer *w, const char *key, const int32_t *values, size_t n);
void exaone_gguf_put_f32s(exaone_gguf_writer *w, const char *key, const float *values, size_t n);
void exaone_gguf_put_strings(exaone_gguf_writer *w, const char *key, const exaone_gguf_view *values, size_t n);

/* A copy of an entry of another file, whatever its type. */
void exaone_gguf_put_kv(exaone_gguf_writer *w, const exaone_gguf_kv *kv);

/* ne is innermost first. `ctx` must live until save. */
void exaone_gguf_put_tensor(exaone_gguf_writer *w, const char *name, exaone_dtype dtype, uint32_t n_dims, const uint64_t *ne,
                            exaone_gguf_source *source, void *ctx);

/* Bytes that the file will have. */
uint64_t exaone_gguf_writer_bytes(const exaone_gguf_writer *w);
/* Writes everything to `out`, which the caller commits or aborts. Errors: _MEMORY, _ARGUMENT and those of the sources. */
EXAONE_MUST_USE exaone_status exaone_gguf_writer_write(exaone_gguf_writer *w, exaone_writer *out, exaone_error *err);
/* The same with a file. Errors: EXAONE_ERR_IO, _MEMORY, _ARGUMENT, and those of the sources. The old file stays until the
 * new one is complete. */
EXAONE_MUST_USE exaone_status exaone_gguf_writer_save(exaone_gguf_writer *w, const char *path, exaone_error *err);

#endif
