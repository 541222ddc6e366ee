/* Placeholder expansion of Exaone4_5_Processor (transformers 5.23): counting first, then one allocation of the exact size.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/placeholders.h"

typedef struct {
    const char *pad, *what; /* "<|image_pad|>", "images" */
    int32_t id;
    const size_t *tokens;
    size_t n_items, n_found, next;
} media_kind;

static exaone_status check_kind(const media_kind *k, exaone_error *err) {
    if (k->n_found != k->n_items) {
        if (k->n_items == 0) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "found %zu %s tokens in the text but no %s were passed", k->n_found,
                               k->pad, k->what);
        }
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "the total number of %s tokens in the prompt should be the same as the number of %s passed: found "
            "total %zu %s tokens and %zu %s",
            k->pad, k->what, k->n_found, k->pad, k->n_items, k->what);
    }
    for (size_t i = 0; i < k->n_items; i++) {
        if (k->tokens[i] == 0) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "number %zu of the %s has 0 tokens", i + 1, k->what);
        }
    }
    return EXAONE_OK;
}

static media_kind *kind_of(media_kind kinds[2], int32_t id) {
    if (id < 0) {
        return NULL;
    }
    return id == kinds[0].id ? &kinds[0] : id == kinds[1].id ? &kinds[1] : NULL;
}

exaone_status exaone_expand_placeholders(const int32_t *ids, size_t n, int32_t image_token_id, const size_t *image_tokens,
                                         size_t n_images, int32_t video_token_id, const size_t *video_tokens,
                                         size_t n_videos, size_t max_out, int32_t **out_ids, size_t *n_out,
                                         exaone_error *err) {
    media_kind kinds[2] = {
        {.pad = "<|image_pad|>", .what = "images", .id = image_token_id, .tokens = image_tokens, .n_items = n_images},
        {.pad = "<|video_pad|>", .what = "videos", .id = video_token_id, .tokens = video_tokens, .n_items = n_videos},
    };
    *out_ids = NULL;
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        media_kind *k = kind_of(kinds, ids[i]);
        if (k) {
            k->n_found++;
        }
    }
    size_t total = n;
    for (int which = 0; which < 2; which++) {
        exaone_status status = check_kind(&kinds[which], err);
        if (status) {
            return status;
        }
        for (size_t i = 0; i < kinds[which].n_items; i++) {
            if (!exaone_size_add(total, kinds[which].tokens[i] - 1, &total)) {
                total = SIZE_MAX;
                break;
            }
        }
    }
    if (total > max_out) {
        return exaone_fail(err, EXAONE_ERR_LIMIT,
                           "the prompt with its images and videos has %zu tokens, more than the limit of %zu", total,
                           max_out);
    }
    int32_t *out = exaone_mem_array(total, sizeof(*out));
    if (!out) {
        return exaone_fail_memory(err, "the expanded prompt", (unsigned long long)total * sizeof(*out));
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        media_kind *k = kind_of(kinds, ids[i]);
        size_t copies = k ? k->tokens[k->next++] : 1;
        for (size_t c = 0; c < copies; c++) {
            out[at++] = ids[i];
        }
    }
    *out_ids = out;
    *n_out = total;
    return EXAONE_OK;
}
