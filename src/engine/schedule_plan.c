/* The scheduler's decisions: see schedule_plan.h. */
#include "engine/schedule_plan.h"

#include <assert.h>

static size_t least_of(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t exaone_queue_next(exaone_waiting *w, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (!w[i].held && w[i].overtaken >= EXAONE_QUEUE_PATIENCE) {
            return i;
        }
        if (!w[i].held && (best == n || w[i].priority > w[best].priority)) {
            best = i;
        }
    }
    for (size_t i = 0; best < n && i < best; i++) {
        w[i].overtaken += !w[i].held;
    }
    return best;
}

/* ---- rows ---- */

/* Most rows that the item can use in this step beyond those it has. */
static size_t wants(const exaone_plan_item *item, const exaone_plan_limits *l) {
    size_t all = item->prompt > 0 ? item->prompt : item->drafts + 1;
    return least_of(all, l->sequence_rows) - item->rows;
}

/* Gives up to `left` rows to the prompts of one priority, all alike; returns what remains. */
static size_t share(exaone_plan_item *items, size_t n, int priority, size_t left, const exaone_plan_limits *l) {
    for (;;) {
        size_t hungry = 0;
        for (size_t i = 0; i < n; i++) {
            hungry += items[i].prompt > 0 && items[i].priority == priority && wants(&items[i], l) > 0;
        }
        if (hungry == 0 || left == 0) {
            return left;
        }
        size_t each = left / hungry ? left / hungry : 1;
        for (size_t i = 0; i < n && left > 0; i++) {
            if (items[i].prompt > 0 && items[i].priority == priority) {
                size_t rows = least_of(least_of(wants(&items[i], l), each), left);
                items[i].rows += rows;
                left -= rows;
            }
        }
    }
}

/* The highest priority below `below` (any when first) of a prompt that wants rows; false: there is none. */
static bool next_priority(const exaone_plan_item *items, size_t n, const exaone_plan_limits *l, bool first, int below,
                          int *priority) {
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (items[i].prompt > 0 && wants(&items[i], l) > 0 && (first || items[i].priority < below) &&
            (!found || items[i].priority > *priority)) {
            *priority = items[i].priority;
            found = true;
        }
    }
    return found;
}

static size_t share_by_priority(exaone_plan_item *items, size_t n, size_t left, const exaone_plan_limits *l) {
    int priority = 0, lower = 0;
    for (bool first = true; left > 0 && next_priority(items, n, l, first, priority, &priority); first = false) {
        size_t kept = next_priority(items, n, l, false, priority, &lower) ? left / 8 : 0;
        left = share(items, n, priority, left - kept, l) + kept;
    }
    /* what the lower ones did not need of their eighth */
    for (bool first = true; left > 0 && next_priority(items, n, l, first, priority, &priority); first = false) {
        left = share(items, n, priority, left, l);
    }
    return left;
}

static size_t share_drafts(exaone_plan_item *items, size_t n, size_t left, const exaone_plan_limits *l) {
    for (bool any = true; any && left > 0;) {
        any = false;
        for (size_t i = 0; i < n && left > 0; i++) {
            if (items[i].prompt == 0 && wants(&items[i], l) > 0) {
                items[i].rows++;
                left--;
                any = true;
            }
        }
    }
    return left;
}

size_t exaone_plan_rows(exaone_plan_item *items, size_t n, const exaone_plan_limits *l) {
    assert(n <= l->batch_rows && l->sequence_rows > 0 && l->chunk > 0);
    size_t replies = 0, wanted = 0;
    for (size_t i = 0; i < n; i++) {
        items[i].rows = 1;
        replies += items[i].prompt == 0;
        wanted += items[i].prompt == 0 ? 0 : wants(&items[i], l);
    }
    size_t left = l->batch_rows - n, prompts = n - replies;
    size_t chunk = replies == 0 ? left : l->chunk > prompts ? l->chunk - prompts : 0; /* their first rows count */
    size_t kept = least_of(least_of(wanted, chunk), left / 2);
    left = share_drafts(items, n, left - kept, l) + kept;
    size_t budget = least_of(chunk, left);
    return l->batch_rows - (left - budget) - share_by_priority(items, n, budget, l);
}

/* ---- the size of a chunk ---- */

void exaone_chunk_adapt(exaone_chunk_control *c, size_t prompt_rows, double seconds) {
    if (prompt_rows == 0) {
        return;
    }
    if (seconds > c->target) {
        size_t fits = (size_t)((double)prompt_rows * c->target / seconds); /* below prompt_rows */
        size_t half = c->chunk / 2;
        size_t chunk = fits > half ? least_of(fits, c->chunk) : half;
        c->chunk = chunk > c->least ? chunk : c->least;
    } else if (seconds < 0.8 * c->target && prompt_rows >= c->chunk) {
        c->chunk = least_of(c->chunk + c->chunk / 4 + 1, c->most);
    }
}
