/* Byte-level BPE: the pair of lowest rank is merged first, of equal ones the leftmost, until no pair has a rank.
 *
 * A piece may be a page of text (merges cross spaces), so the pairs wait in a heap: n log n. An entry is never taken back
 * when a neighbour changes; it is compared with the symbols that stand there now when its turn comes. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "text/tokenizer_internal.h"

#define NONE UINT32_MAX

void exaone_bpe_release(exaone_bpe *b) {
    free(b->id);
    free(b->prev);
    free(b->next);
    free(b->heap);
    *b = (exaone_bpe){0};
}

static bool reserve(exaone_bpe *b, size_t n) {
    if (n <= b->cap) {
        return true;
    }
    size_t cap = n < 256 ? 256 : n + n / 2;
    exaone_bpe_release(b); /* nothing in it is needed any more */
    b->id = exaone_mem_array(cap, sizeof *b->id);
    b->prev = exaone_mem_array(cap, sizeof *b->prev);
    b->next = exaone_mem_array(cap, sizeof *b->next);
    /* at most n - 1 pairs at first; each merge takes one entry away and adds two */
    b->heap = exaone_mem_array(cap, 2 * sizeof *b->heap);
    if (!b->id || !b->prev || !b->next || !b->heap) {
        exaone_bpe_release(b);
        return false;
    }
    b->cap = cap;
    return true;
}

bool exaone_ids_reserve(exaone_ids *ids, size_t more) {
    if (more <= ids->cap - ids->n) {
        return true;
    }
    size_t cap = ids->cap + ids->cap / 2 + 16;
    if (cap - ids->n < more) {
        cap = ids->n + more;
    }
    int32_t *a = exaone_mem_resize(ids->a, cap, sizeof *a);
    if (!a) {
        return false;
    }
    ids->a = a;
    ids->cap = cap;
    return true;
}

uint32_t exaone_merge_rank(const exaone_tokenizer *tok, uint32_t left, uint32_t right) {
    uint32_t slot = exaone_pair_hash(left, right) & tok->pair_mask;
    for (int k = 0; k < EXAONE_MAX_PROBES; k++, slot = (slot + 1) & tok->pair_mask) {
        uint32_t entry = tok->pair_slots[slot];
        if (entry == 0) {
            break;
        }
        const exaone_merge *m = &tok->merges[entry - 1];
        if (m->left == left && m->right == right) {
            return entry - 1;
        }
    }
    return NONE;
}

static void sift_down(uint64_t *heap, size_t n, size_t i) {
    uint64_t v = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && heap[child + 1] < heap[child]) {
            child++;
        }
        if (heap[child] >= v) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = v;
}

static void heap_push(exaone_bpe *b, uint64_t v) {
    assert(b->n_heap < 2 * b->cap);
    size_t i = b->n_heap++;
    while (i > 0 && b->heap[(i - 1) / 2] > v) {
        b->heap[i] = b->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    b->heap[i] = v;
}

static uint64_t heap_pop(exaone_bpe *b) {
    uint64_t top = b->heap[0];
    b->heap[0] = b->heap[--b->n_heap];
    if (b->n_heap > 1) {
        sift_down(b->heap, b->n_heap, 0);
    }
    return top;
}

static void add_pair(const exaone_tokenizer *tok, exaone_bpe *b, uint32_t place) {
    uint32_t rank = exaone_merge_rank(tok, b->id[place], b->id[b->next[place]]);
    if (rank != NONE) {
        heap_push(b, (uint64_t)rank << 32 | place);
    }
}

static void fill(const exaone_tokenizer *tok, exaone_bpe *b, const uint8_t *piece, size_t n) {
    for (size_t i = 0; i < n; i++) {
        b->id[i] = tok->byte_ids[piece[i]];
        b->prev[i] = i ? (uint32_t)i - 1 : NONE;
        b->next[i] = i + 1 < n ? (uint32_t)i + 1 : NONE;
    }
    b->n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        uint32_t rank = exaone_merge_rank(tok, b->id[i], b->id[i + 1]);
        if (rank != NONE) {
            b->heap[b->n_heap++] = (uint64_t)rank << 32 | i;
        }
    }
    for (size_t i = b->n_heap / 2; i-- > 0;) {
        sift_down(b->heap, b->n_heap, i);
    }
}

bool exaone_bpe_encode(const exaone_tokenizer *tok, exaone_bpe *b, const uint8_t *piece, size_t n, exaone_ids *ids) {
    assert(n > 0 && n < NONE);
    if (!reserve(b, n)) {
        return false;
    }
    fill(tok, b, piece, n);
    size_t left = n; /* symbols */
    while (b->n_heap > 0) {
        uint64_t top = heap_pop(b);
        uint32_t at = (uint32_t)top;
        const exaone_merge *m = &tok->merges[top >> 32];
        uint32_t second = b->next[at];
        if (b->id[at] != m->left || second == NONE || b->id[second] != m->right) {
            continue; /* a merge in between took one of the two */
        }
        b->id[at] = m->result;
        b->id[second] = NONE;
        uint32_t after = b->next[second];
        b->next[at] = after;
        left--;
        if (after != NONE) {
            b->prev[after] = at;
            add_pair(tok, b, at);
        }
        if (b->prev[at] != NONE) {
            add_pair(tok, b, b->prev[at]);
        }
    }
    if (!exaone_ids_reserve(ids, left)) {
        return false;
    }
    for (uint32_t i = 0; i != NONE; i = b->next[i]) {
        ids->a[ids->n++] = (int32_t)b->id[i];
    }
    return true;
}
