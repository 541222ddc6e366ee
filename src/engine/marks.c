/* Places to come back to: see marks.h. */
#include "engine/marks.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LEAST_DISTANCE = 4096, WINDOWS_APART = 4 };

struct exaone_mark {
    exaone_kv_checkpoint *place;
    atomic_size_t holders;
};

size_t exaone_mark_distance(size_t window) {
    size_t tokens = window < SIZE_MAX / 8 ? WINDOWS_APART * window : 0;
    return tokens > LEAST_DISTANCE ? tokens : LEAST_DISTANCE;
}

static size_t place_of(const exaone_marks *m, size_t i) {
    return exaone_kv_checkpoint_length(m->mark[i]->place);
}

/* ---- the list ---- */

static void release(exaone_mark *mark) {
    if (atomic_fetch_sub(&mark->holders, 1) == 1) {
        exaone_kv_checkpoint_free(mark->place);
        free(mark);
    }
}

static void drop(exaone_marks *m, size_t i) {
    release(m->mark[i]);
    m->n--;
    memmove(m->mark + i, m->mark + i + 1, (m->n - i) * sizeof m->mark[0]);
    memmove(m->is_end + i, m->is_end + i + 1, (m->n - i) * sizeof m->is_end[0]);
}

void exaone_marks_drop_behind(exaone_marks *m, size_t n) {
    while (m->n > 0 && place_of(m, m->n - 1) > n) {
        drop(m, m->n - 1);
    }
}

void exaone_marks_clear(exaone_marks *m) {
    while (m->n > 0) {
        drop(m, m->n - 1);
    }
}

void exaone_marks_share(exaone_marks *to, const exaone_marks *from) {
    assert(to->n == 0);
    *to = *from;
    for (size_t i = 0; i < to->n; i++) {
        atomic_fetch_add(&to->mark[i]->holders, 1);
    }
}

const exaone_kv_checkpoint *exaone_marks_find(const exaone_marks *m, size_t n) {
    size_t i = m->n;
    while (i > 0 && place_of(m, i - 1) > n) {
        i--;
    }
    return i > 0 ? m->mark[i - 1]->place : NULL;
}

/* ---- the budget ---- */

size_t exaone_marks_bytes(const exaone_marks *m, const exaone_kv_cache *c) {
    size_t bytes = 0;
    for (size_t i = 0; i < m->n; i++) {
        size_t n = place_of(m, i), first = (n + 1 > c->window ? n + 1 - c->window : 0) / EXAONE_KV_PAGE;
        size_t pages = (n + EXAONE_KV_PAGE - 1) / EXAONE_KV_PAGE - first;
        size_t full = i > 0 ? place_of(m, i - 1) / EXAONE_KV_PAGE : 0; /* pages that the mark before ends with or behind */
        size_t shared = full > first ? full - first : 0;
        size_t all = exaone_kv_checkpoint_bytes(m->mark[i]->place);
        bytes += shared < pages ? all / pages * (pages - shared) : 0;
    }
    return bytes;
}

/* Which mark goes first. */
static size_t least_worth(const exaone_marks *m) {
    size_t newest = m->n - 1, end = newest, best = m->n;
    double least = 0;
    while (end > 0 && !m->is_end[end]) {
        end--;
    }
    for (size_t i = 0; i < newest; i++) {
        double before = (double)(place_of(m, i) - (i > 0 ? place_of(m, i - 1) : 0));
        double behind = (double)(place_of(m, i + 1) - place_of(m, i)), back = (double)(place_of(m, newest) - place_of(m, i));
        double worth = before * behind / back;
        if ((i != end || !m->is_end[i]) && (best == m->n || worth < least)) {
            best = i;
            least = worth;
        }
    }
    return best < m->n ? best : newest > end || !m->is_end[end] ? newest : 0;
}

void exaone_marks_drop_one(exaone_marks *m) {
    drop(m, least_worth(m));
}

void exaone_marks_add(exaone_marks *m, const exaone_kv_cache *c, size_t n, bool is_end, size_t budget) {
    exaone_error unused;
    if (n == 0 || c->n_full == c->n_layers || !exaone_kv_cache_can_cut(c, n)) {
        return;
    }
    is_end = is_end || (m->n > 0 && m->is_end[m->n - 1] && place_of(m, m->n - 1) == n);
    exaone_marks_drop_behind(m, n - 1);
    exaone_mark *mark = exaone_mem_array(1, sizeof *mark);
    if (!mark || exaone_kv_checkpoint_take(c, n, &mark->place, &unused) != EXAONE_OK) {
        free(mark);
        return;
    }
    atomic_init(&mark->holders, 1);
    m->mark[m->n] = mark;
    m->is_end[m->n++] = is_end;
    while (m->n > EXAONE_MAX_MARKS || (m->n > 0 && exaone_marks_bytes(m, c) > budget)) {
        exaone_marks_drop_one(m);
    }
}
