/* The buffers of a decoder call: one table gives size and place, one allocation holds them all. */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/model.h"

enum { N_BUFFERS = 12, LINE = 16 }; /* every buffer starts on a 64-byte line: 16 floats */

/* Columns of the buffers, in the order of the addresses in exaone_workspace_init; returns their sum. */
static size_t columns(const exaone_config *c, size_t cols[N_BUFFERS]) {
    size_t hidden = (size_t)c->hidden_size, dim = (size_t)c->head_dim, inner = (size_t)c->intermediate_size;
    size_t q = (size_t)c->num_attention_heads * dim, kv = (size_t)c->num_key_value_heads * dim, sum = 0;
    const size_t wanted[N_BUFFERS] = {hidden, hidden, hidden, q,       kv,      kv,
                                      q,      inner,  inner,  dim / 2, dim / 2, c->num_mtp_layers > 0 ? 2 * hidden : 0};
    for (size_t i = 0; i < N_BUFFERS; i++) {
        cols[i] = (wanted[i] + LINE - 1) / LINE * LINE;
        sum += cols[i];
    }
    return sum;
}

size_t exaone_workspace_bytes(const exaone_config *config, size_t max_rows) {
    size_t cols[N_BUFFERS], floats, bytes;
    size_t sum = columns(config, cols) + (size_t)config->head_dim;
    return exaone_size_mul(max_rows, sum, &floats) && exaone_size_mul(floats, sizeof(float), &bytes) ? bytes : SIZE_MAX;
}

exaone_status exaone_workspace_init(exaone_workspace *ws, const exaone_model *model, size_t max_rows, size_t max_sequences,
                                    exaone_error *err) {
    *ws = (exaone_workspace){.be = model->be, .max_rows = max_rows, .max_sequences = max_sequences};
    float **const places[N_BUFFERS] = {&ws->x,    &ws->hidden, &ws->y,  &ws->q,         &ws->k,         &ws->v,
                                       &ws->attn, &ws->gate,   &ws->up, &ws->cos_table, &ws->sin_table, &ws->fc_input};
    size_t cols[N_BUFFERS], floats = 0, bytes = 0, dim = (size_t)model->config->head_dim;
    size_t sum = columns(model->config, cols);
    bool fits = exaone_size_mul(max_rows, sum, &floats) && exaone_size_mul(floats, sizeof(float), &bytes);
    ws->x = fits ? model->be->alloc(model->be, bytes) : NULL;
    ws->host_cos = exaone_mem_array(max_rows * dim, sizeof *ws->host_cos);
    ws->rows = exaone_mem_array(max_rows, sizeof *ws->rows);
    ws->kv = exaone_mem_array(max_sequences, sizeof *ws->kv);
    if (!ws->x || !ws->host_cos || !ws->rows || !ws->kv) {
        exaone_workspace_release(ws);
        return exaone_fail_memory(err, "the decoder's activations", bytes);
    }
    ws->host_sin = ws->host_cos + max_rows * (dim / 2);
    float *at = ws->x;
    for (size_t i = 0; i < N_BUFFERS; i++) {
        *places[i] = at;
        at += max_rows * cols[i];
    }
    return EXAONE_OK;
}

void exaone_workspace_release(exaone_workspace *ws) {
    if (ws->be) {
        ws->be->release(ws->be, ws->x);
    }
    free(ws->host_cos);
    free(ws->rows);
    free(ws->kv);
    *ws = (exaone_workspace){0};
}
