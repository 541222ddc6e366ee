/* Bytes are spelled in the GPT-2 alphabet: printable Latin-1 characters stand for themselves, the other bytes for U+0100 on,
 * in their order. Token CONTROLS + 256 + k is the pair of bytes k / 256 and k % 256; behind all pairs come triples, a pair
 * and one more byte. */
#include "bench/vocabulary.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { CONTROLS = 80, BYTES = 256, PAIRS = BYTES * BYTES, ROOM = 64, PAIR_ROOM = 16, NORMAL = 1, CONTROL = 3 };

typedef struct alphabet {
    char text[BYTES][4]; /* UTF-8 of each byte */
} alphabet;

static void spell(alphabet *a) {
    unsigned other = 0x100;
    for (unsigned b = 0; b < BYTES; b++) {
        bool same = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        unsigned code = same ? b : other++;
        if (code < 0x80) {
            snprintf(a->text[b], sizeof a->text[b], "%c", (int)code);
        } else {
            snprintf(a->text[b], sizeof a->text[b], "%c%c", (int)(0xc0 | code >> 6), (int)(0x80 | (code & 0x3f)));
        }
    }
}

/* Control tokens that programs look for by name. */
static const struct {
    size_t id;
    const char *name;
} NAMED[] = {{0, "[PAD]"},          {1, "[BOS]"},          {2, "[EOS]"},     {3, "[UNK]"},     {53, "<|endofturn|>"},
             {67, "<|image_pad|>"}, {68, "<|video_pad|>"}, {73, "<vision>"}, {74, "</vision>"}};

/* Token i; and the merge that makes it, which is empty for others than pairs and triples. */
static void name_token(const alphabet *a, size_t i, char token[ROOM], char merge[ROOM]) {
    merge[0] = 0;
    if (i < CONTROLS) {
        snprintf(token, ROOM, "<|synthetic %zu|>", i);
        for (size_t k = 0; k < sizeof NAMED / sizeof NAMED[0]; k++) {
            if (NAMED[k].id == i) {
                snprintf(token, ROOM, "%s", NAMED[k].name);
            }
        }
        return;
    }
    i -= CONTROLS;
    if (i < BYTES) {
        snprintf(token, ROOM, "%s", a->text[i]);
        return;
    }
    i -= BYTES;
    char pair[PAIR_ROOM];
    size_t k = i < PAIRS ? i : (i - PAIRS) / BYTES;
    const char *x = a->text[k / BYTES], *y = a->text[k % BYTES], *z = a->text[(i - PAIRS) % BYTES];
    snprintf(pair, sizeof pair, "%s%s", x, y);
    if (i < PAIRS) {
        snprintf(token, ROOM, "%s", pair);
        snprintf(merge, ROOM, "%s %s", x, y);
    } else {
        snprintf(token, ROOM, "%s%s", pair, z);
        snprintf(merge, ROOM, "%s %s", pair, z);
    }
}

exaone_status exaone_vocabulary_put(exaone_gguf_writer *w, size_t n, exaone_error *err) {
    size_t n_merges = n - CONTROLS - BYTES;
    assert(n >= CONTROLS + BYTES);
    char(*names)[2][ROOM] = exaone_mem_array(n, sizeof *names);
    exaone_gguf_view *tokens = exaone_mem_array(n, sizeof *tokens), *merges = exaone_mem_array(n_merges, sizeof *merges);
    int32_t *types = exaone_mem_array(n, sizeof *types);
    exaone_status status = EXAONE_OK;
    if (!names || !tokens || !merges || !types) {
        status = exaone_fail_memory(err, "a vocabulary", n * (sizeof *names + 2 * sizeof *tokens + sizeof *types));
    } else {
        alphabet a;
        spell(&a);
        for (size_t i = 0; i < n; i++) {
            name_token(&a, i, names[i][0], names[i][1]);
            tokens[i] = (exaone_gguf_view){names[i][0], strlen(names[i][0])};
            types[i] = i < CONTROLS ? CONTROL : NORMAL;
            if (i >= CONTROLS + BYTES) {
                merges[i - CONTROLS - BYTES] = (exaone_gguf_view){names[i][1], strlen(names[i][1])};
            }
        }
        exaone_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
        exaone_gguf_put_text(w, "tokenizer.ggml.pre", "exaone-moe");
        exaone_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, n);
        exaone_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, n);
        exaone_gguf_put_strings(w, "tokenizer.ggml.merges", merges, n_merges);
    }
    free(names);
    free(tokens);
    free(merges);
    free(types);
    return status;
}
