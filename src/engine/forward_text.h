/* The forward door, text part. */
#ifndef EXAONE_FORWARD_TEXT_H
#define EXAONE_FORWARD_TEXT_H

#include "engine/forward_internal.h"

typedef struct exaone_text_setting {
    const char *position_ids; /* name of the tensor to read them from; ignored when absent */
    const char *logits_name;
    bool use_embeds; /* start from inputs_embeds instead of input_ids */
    bool stages;     /* give every stage, loss, features …; else only the logits */
    bool packed;
} exaone_text_setting;

EXAONE_MUST_USE exaone_status exaone_forward_text(exaone_forward_call *c, const exaone_text_setting *setting);
EXAONE_MUST_USE exaone_status exaone_forward_greedy(exaone_forward_call *c);
EXAONE_MUST_USE exaone_status exaone_forward_mtp(exaone_forward_call *c);

/* A text input ready to run: B sequences of T tokens, of which the live ones (attention_mask 1) are rows. */
typedef struct exaone_text_run {
    exaone_forward_call *c;
    size_t B, T, H, V;
    int64_t *ids;             /* [B, T] or NULL (embeds) */
    int64_t *mask;            /* [B, T] or NULL */
    int64_t *positions;       /* [B, T] */
    float *embeds;            /* [B, T, H] host: what goes into layer 0 */
    uint8_t **key_mask;       /* [B] or NULL */
    size_t *start;            /* [B, T] first index of the packed sequence that holds t */
    exaone_kv_cache **caches; /* [B] */
    exaone_workspace ws;
    exaone_row *rows; /* [max rows] */
    int64_t *row_positions;
    size_t max_rows;
    float *logits; /*dev*/ /* [max rows, V] */
    size_t capacity;       /* tokens that the caches hold */
    bool hidden_rows;      /* compute the rows of attention_mask 0 too: the loss counts them */
} exaone_text_run;

/* Reads and checks the inputs, merges image and video features, allocates caches for `extra` more tokens and workspace for
 * calls of at most `chunk` tokens (0: all T). Released by exaone_text_run_release, also after a failure. */
EXAONE_MUST_USE exaone_status exaone_text_run_init(exaone_text_run *r, exaone_forward_call *c,
                                                   const exaone_text_setting *setting, size_t extra, size_t chunk);
void exaone_text_run_release(exaone_text_run *r);

/* Runs tokens t0 .. t1 of every sequence; hidden rows land in r->ws.hidden, row number of (b, t) in row_of [B, t1 - t0] or
 * -1 where attention_mask hides it. With hidden_rows the row number of every (b, t) is its place in [B, t1 - t0]. */
EXAONE_MUST_USE exaone_status exaone_text_run_call(exaone_text_run *r, size_t t0, size_t t1, const exaone_trace *trace,
                                                   int64_t *row_of);

#endif
