/* Marks: places of a timeline to come back to when the rings of the sliding layers no longer reach so far.
 *
 * A mark is a checkpoint of the sliding layers (model/kv_cache.h). A timeline has few of them, within a budget of bytes.
 * When there are too many, the one goes whose loss costs least: a cut into the g tokens behind it would evaluate the d
 * tokens before it again, and the farther back a place is, b tokens, the less likely is a cut there: the one with the
 * smallest d * g / b. So recent marks are dense and those far back thinned out. The newest mark and the newest end of a
 * prompt go last.
 *
 * Forks share marks. One thread at a time for each exaone_marks. */
#ifndef EXAONE_ENGINE_MARKS_H
#define EXAONE_ENGINE_MARKS_H

#include "model/kv_cache.h"

enum { EXAONE_MAX_MARKS = 16 };
#define EXAONE_MARK_BYTES ((size_t)2 << 30) /* the budget unless somebody says otherwise */

typedef struct exaone_mark exaone_mark; /* one checkpoint, counted */

typedef struct exaone_marks {
    exaone_mark *mark[EXAONE_MAX_MARKS + 1]; /* [n] by rising length */
    bool is_end[EXAONE_MAX_MARKS + 1];       /* of a prompt */
    size_t n;
} exaone_marks;

/* Tokens between marks of a long prompt, and between its checkpoints on disk: 4096, or four windows if that is more. A
 * window near SIZE_MAX: there is none. */
size_t exaone_mark_distance(size_t window);

/* Marks place n <= length of the cache, if its rings hold it; marks at n or behind give way. Without memory there is none.
 */
void exaone_marks_add(exaone_marks *m, const exaone_kv_cache *cache, size_t n, bool is_end, size_t budget);
/* The last mark at n or before; NULL: there is none. Valid until the marks are changed. */
const exaone_kv_checkpoint *exaone_marks_find(const exaone_marks *m, size_t n);
void exaone_marks_drop_behind(exaone_marks *m, size_t n); /* those of more than n tokens */
void exaone_marks_drop_one(exaone_marks *m);              /* that of least worth; there is one */
void exaone_marks_clear(exaone_marks *m);
void exaone_marks_share(exaone_marks *to, const exaone_marks *from); /* `to` is empty */

/* Bytes of pages that the marks of a cache refer to, each page once. */
size_t exaone_marks_bytes(const exaone_marks *m, const exaone_kv_cache *cache);

#endif
