/* Comparing weights tensor by tensor: see exaone/diff.h. A tensor is cut into runs; threads fill one result per run, which
 * are then added in order, so sums do not depend on the threads. Memory: two runs per thread. */
#include "exaone/diff.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "quant/diff_items.h"
#include "quant/imatrix.h"

enum { RUN_ELEMENTS = 1 << 15, RUNS_AT_ONCE = 256, MAX_ROW = 1 << 26 };

/* Sums over some elements. */
typedef struct sums {
    double square, reference, weighted_square, weighted_reference, max_abs;
    uint64_t not_finite, differ;
} sums;

typedef struct job {
    const exaone_diff_options *o;
    exaone_diff_model a, b;
    exaone_pool *pool;
    float *values; /* [2 * threads, run] */
    size_t cap;    /* floats per run there */
    sums *runs;    /* [RUNS_AT_ONCE] */
    uint64_t done, total;
    exaone_diff_report report;
    sums all;
    exaone_error *err;
} job;

/* One tensor in work. */
typedef struct pair {
    job *j;
    const exaone_diff_item *a, *b;
    const float *importance;     /* [columns] or NULL */
    size_t run, elements, first; /* first: run number of runs[0] */
} pair;

static void compare(const float *a, const float *b, size_t n, const float *importance, size_t column, size_t columns,
                    sums *s) {
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i], d = y - x;
        if (!isfinite(a[i]) || !isfinite(b[i])) {
            bool same = x == y || (isnan(a[i]) && isnan(b[i]));
            s->not_finite += !same;
            s->differ += !same;
        } else {
            s->square += d * d;
            s->reference += x * x;
            s->max_abs = fabs(d) > s->max_abs ? fabs(d) : s->max_abs;
            s->differ += d != 0;
            if (importance) {
                double w = (double)importance[column];
                s->weighted_square += w * d * d;
                s->weighted_reference += w * x * x;
            }
        }
        column = column + 1 == columns ? 0 : column + 1;
    }
}

static void compare_runs(void *arg, int worker, size_t begin, size_t end) {
    const pair *p = arg;
    float *a = p->j->values + 2 * (size_t)worker * p->j->cap, *b = a + p->j->cap;
    for (size_t i = begin; i < end; i++) {
        size_t first = (p->first + i) * p->run, n = p->elements - first < p->run ? p->elements - first : p->run;
        sums s = {0};
        exaone_diff_item_read(p->a, first, n, a);
        exaone_diff_item_read(p->b, first, n, b);
        compare(a, b, n, p->importance, first % p->a->columns, p->a->columns, &s);
        p->j->runs[i] = s;
    }
}

static void add_sums(sums *to, const sums *s) {
    to->square += s->square;
    to->reference += s->reference;
    to->weighted_square += s->weighted_square;
    to->weighted_reference += s->weighted_reference;
    to->max_abs = s->max_abs > to->max_abs ? s->max_abs : to->max_abs;
    to->not_finite += s->not_finite;
    to->differ += s->differ;
}

static double ratio(double square, double reference) {
    return square == 0 ? 0 : sqrt(square / reference);
}

static exaone_status cancelled(const job *j, const char *name) {
    return exaone_fail(j->err, EXAONE_ERR_CANCELLED, "stopped at %s", name);
}

static exaone_status tell_progress(job *j, const char *name, uint64_t done) {
    return !j->o->progress || j->o->progress(j->o->ctx, name, done, j->total) ? EXAONE_OK : cancelled(j, name);
}

/* Elements read together: the common multiple of what both sides ask for, which is 196 or 256 unless a side has rows. */
static size_t run_of(const exaone_diff_item *a, const exaone_diff_item *b) {
    size_t x = exaone_diff_item_run(a), y = exaone_diff_item_run(b);
    if (a->scaled || b->scaled) {
        return a->columns; /* whole rows: whole blocks too */
    }
    return x == y ? RUN_ELEMENTS / x * x : x * y / 4; /* 196 and 256 have 4 in common; a slice has plain types beside it */
}

static exaone_status make_room(job *j, size_t run) {
    size_t floats;
    if (run <= j->cap) {
        return EXAONE_OK;
    }
    free(j->values);
    j->cap = 0;
    j->values = exaone_size_mul(2 * (size_t)exaone_pool_size(j->pool), run, &floats)
                    ? exaone_mem_array(floats, sizeof *j->values)
                    : NULL;
    if (!j->values) {
        return exaone_fail_memory(j->err, "two rows per thread", run * sizeof *j->values);
    }
    j->cap = run;
    return EXAONE_OK;
}

static exaone_status compare_pair(job *j, const exaone_diff_item *a, const exaone_diff_item *b, exaone_diff_tensor *t) {
    pair p = {.j = j, .a = a, .b = b, .run = run_of(a, b), .elements = (size_t)a->elements};
    sums sum = {0};
    if (j->o->imatrix) {
        p.importance = exaone_imatrix_find(j->o->imatrix, a->name, a->columns);
    }
    if (p.run > MAX_ROW) {
        return exaone_fail(j->err, EXAONE_ERR_LIMIT, "%s: rows of %zu values are above the limit %d", a->name, p.run,
                           MAX_ROW);
    }
    exaone_status s = make_room(j, p.run);
    size_t n_runs = (p.elements + p.run - 1) / p.run;
    for (p.first = 0; s == EXAONE_OK && p.first < n_runs; p.first += RUNS_AT_ONCE) {
        size_t n = n_runs - p.first < RUNS_AT_ONCE ? n_runs - p.first : RUNS_AT_ONCE;
        exaone_pool_run(j->pool, n, 1, compare_runs, &p);
        for (size_t i = 0; i < n; i++) {
            add_sums(&sum, &j->runs[i]);
        }
        size_t begin = p.first * p.run, end = begin + n * p.run < p.elements ? begin + n * p.run : p.elements;
        exaone_diff_item_forget(a, begin, end - begin);
        exaone_diff_item_forget(b, begin, end - begin);
        double part = (double)(p.first + n) / (double)n_runs;
        s = tell_progress(j, a->name, j->done + (uint64_t)(part * (double)a->bytes));
    }
    t->square = sum.square;
    t->reference = sum.reference;
    t->relative = ratio(sum.square, sum.reference);
    t->max_abs = sum.max_abs;
    t->weighted = p.importance ? ratio(sum.weighted_square, sum.weighted_reference) : -1;
    t->not_finite = sum.not_finite;
    if (s == EXAONE_OK) {
        exaone_diff_report *r = &j->report;
        add_sums(&j->all, &sum);
        r->n_compared++;
        r->n_equal += sum.differ == 0;
        r->elements += a->elements;
        r->bytes_a += a->bytes;
        r->bytes_b += b->bytes;
        r->weighted = p.importance ? 0 : r->weighted; /* there is one; filled in at the end */
    }
    return s;
}

static bool same_shape(const exaone_diff_item *a, const exaone_diff_item *b) {
    return a->n_dims == b->n_dims && memcmp(a->dims, b->dims, a->n_dims * sizeof a->dims[0]) == 0;
}

/* One of them may be NULL. */
static exaone_status visit(job *j, const exaone_diff_item *a, const exaone_diff_item *b) {
    const exaone_diff_item *one = a ? a : b;
    assert(one);
    exaone_diff_tensor t = {.name = one->name,
                            .kind = one == a ? EXAONE_DIFF_ONLY_A : EXAONE_DIFF_ONLY_B,
                            .type_a = EXAONE_DTYPE_COUNT,
                            .type_b = EXAONE_DTYPE_COUNT,
                            .weighted = -1};
    exaone_status s = EXAONE_OK;
    if (a) {
        t.type_a = a->dtype;
        t.n_dims_a = a->n_dims;
        memcpy(t.dims_a, a->dims, sizeof t.dims_a);
        t.bytes_a = a->bytes;
        t.elements = a->elements;
    }
    if (b) {
        t.type_b = b->dtype;
        t.n_dims_b = b->n_dims;
        memcpy(t.dims_b, b->dims, sizeof t.dims_b);
        t.bytes_b = b->bytes;
        t.elements = a ? a->elements : b->elements;
    }
    if (a && b) {
        t.kind = !same_shape(a, b)                                                ? EXAONE_DIFF_SHAPE
                 : !exaone_diff_item_readable(a) || !exaone_diff_item_readable(b) ? EXAONE_DIFF_TYPE
                                                                                  : EXAONE_DIFF_COMPARED;
        s = t.kind == EXAONE_DIFF_COMPARED ? compare_pair(j, a, b, &t) : EXAONE_OK;
    }
    exaone_diff_report *r = &j->report;
    size_t *counts[] = {NULL, &r->n_only_a, &r->n_only_b, &r->n_shape, &r->n_type};
    if (counts[t.kind]) {
        ++*counts[t.kind];
    }
    j->done += a ? a->bytes : 0;
    if (s == EXAONE_OK && j->o->tensor && !j->o->tensor(j->o->ctx, &t)) {
        s = cancelled(j, t.name);
    }
    return s;
}

static exaone_status run(job *j, const char *a, const char *b) {
    exaone_status s = exaone_pool_new(j->o->threads > 0 ? j->o->threads : exaone_cores_default(), &j->pool, j->err);
    if (s == EXAONE_OK) {
        s = exaone_diff_model_open(&j->a, a, j->o->mmproj_a, j->err);
    }
    if (s == EXAONE_OK) {
        s = exaone_diff_model_open(&j->b, b, j->o->mmproj_b, j->err);
    }
    j->runs = exaone_mem_array(RUNS_AT_ONCE, sizeof *j->runs);
    if (s == EXAONE_OK && !j->runs) {
        s = exaone_fail_memory(j->err, "sums", RUNS_AT_ONCE * sizeof *j->runs);
    }
    for (size_t i = 0; i < j->a.count; i++) {
        j->total += j->a.items[i].bytes;
    }
    for (size_t i = 0; s == EXAONE_OK && i < j->a.count; i++) {
        exaone_diff_item *other = exaone_diff_model_find(&j->b, j->a.items[i].name);
        if (other) {
            other->seen = true;
        }
        s = visit(j, &j->a.items[i], other);
    }
    for (size_t i = 0; s == EXAONE_OK && i < j->b.count; i++) {
        if (!j->b.items[i].seen) {
            s = visit(j, NULL, &j->b.items[i]);
        }
    }
    return s;
}

exaone_status exaone_diff_weights(const char *a, const char *b, const exaone_diff_options *options,
                                  exaone_diff_report *report, exaone_error *err) {
    static const exaone_diff_options defaults = {0};
    job j = {.o = options ? options : &defaults, .err = err, .report = {.weighted = -1}};
    exaone_status s = run(&j, a, b);
    j.report.not_finite = j.all.not_finite;
    j.report.relative = ratio(j.all.square, j.all.reference);
    j.report.max_abs = j.all.max_abs;
    if (j.report.weighted == 0) {
        j.report.weighted = ratio(j.all.weighted_square, j.all.weighted_reference);
    }
    if (report && s == EXAONE_OK) {
        *report = j.report;
    }
    exaone_diff_model_release(&j.a);
    exaone_diff_model_release(&j.b);
    exaone_pool_free(j.pool);
    free(j.values);
    free(j.runs);
    return s;
}
