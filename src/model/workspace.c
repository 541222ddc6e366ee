/* The buffers of a decoder call: one table gives size and place, one allocation holds them all. */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/model.h"

exaone_status exaone_workspace_init(exaone_workspace *ws, const exaone_model *model, size_t max_rows, size_t max_sequences,
                                    exaone_error *err) {
    const exaone_config *c = model->config;
    *ws = (exaone_workspace){.be = model->be, .max_rows = max_rows, .max_sequences = max_sequences};
    size_t hidden = (size_t)c->hidden_size, dim = (size_t)c->head_dim;
    size_t q = (size_t)c->num_attention_heads * dim, kv = (size_t)c->num_key_value_heads * dim;
    size_t inner = (size_t)c->intermediate_size;
    struct {
        float **at;
        size_t cols;
    } table[] = {{&ws->x, hidden},
                 {&ws->hidden, hidden},
                 {&ws->y, hidden},
                 {&ws->q, q},
                 {&ws->k, kv},
                 {&ws->v, kv},
                 {&ws->attn, q},
                 {&ws->gate, inner},
                 {&ws->up, inner},
                 {&ws->cos_table, dim / 2},
                 {&ws->sin_table, dim / 2},
                 {&ws->fc_input, c->num_mtp_layers > 0 ? 2 * hidden : 0}};
    size_t n = sizeof table / sizeof table[0], cols = 0, floats = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        table[i].cols = (table[i].cols + 15) / 16 * 16; /* every buffer starts on a 64-byte line */
        cols += table[i].cols;
    }
    bool fits = exaone_size_mul(max_rows, cols, &floats) && exaone_size_mul(floats, sizeof(float), &bytes);
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
    for (size_t i = 0; i < n; i++) {
        *table[i].at = at;
        at += max_rows * table[i].cols;
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
