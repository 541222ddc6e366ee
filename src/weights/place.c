/* First touch by the thread that will use it: see place.h. A mapped file's pages lie on the node of the thread that read
 * them from the disk first, whoever that was; what another program or an earlier run left elsewhere is moved by mbind(2), as
 * far as no other process has it mapped. */
#include "weights/place.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/mempolicy.h, which is not everywhere */
enum { POLICY_PREFERRED = 1, POLICY_MOVE = 2, NODE_BITS = 1024 };
/* Huge pages stay whole, which files of this size begin with one of (base/file.c). */
enum { WORD = 8 * sizeof(unsigned long), HUGE_PAGE = 2 << 20, SMALLEST = 4 * HUGE_PAGE };

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

typedef struct {
    const exaone_weights *weights;
    const exaone_cores *cores;
    size_t page;
    int n_threads;
} placing;

void exaone_weights_share(const exaone_weight *w, size_t page, int n_threads, int i, uintptr_t *begin, size_t *n) {
    uint64_t rows = w->n_dims > 0 ? w->dims[0] : 1, row = rows ? w->bytes / rows : 0;
    uintptr_t cut[2];
    for (int k = 0; k < 2; k++) { /* rows * n fits: rows <= bytes, which is memory */
        uint64_t r = rows / (uint64_t)n_threads * (uint64_t)(i + k) +
                     rows % (uint64_t)n_threads * (uint64_t)(i + k) / (uint64_t)n_threads;
        size_t bytes = i + k == n_threads ? w->bytes : (size_t)(r * row);
        cut[k] = ((uintptr_t)w->data + bytes) / page * page;
    }
    *begin = cut[0];
    *n = cut[1] - cut[0];
}

/* first: where the matrix begins, perhaps behind `begin`. */
static void read_pages(uintptr_t begin, size_t n, uintptr_t first, size_t page) {
    if (madvise((void *)begin, n, MADV_POPULATE_READ) != 0 && errno == EINVAL) { /* an old kernel */
        for (size_t i = begin < first ? first - begin : 0; i < n; i += page) {
            (void)*(const volatile uint8_t *)(begin + i);
        }
    }
}

static void place_share(void *arg, int worker, size_t thread, size_t end) {
    (void)end;
    (void)worker;
    const placing *p = arg;
    size_t core = exaone_cores_place(p->cores, p->n_threads, (int)thread), id = p->cores->node_id[p->cores->node[core]];
    unsigned long nodes[NODE_BITS / WORD] = {0};
    nodes[id / WORD] |= 1UL << id % WORD; /* id < EXAONE_MAX_CPUS = NODE_BITS */
    for (size_t i = 0; i < exaone_weights_count(p->weights); i++) {
        exaone_weight w = exaone_weights_at(p->weights, i);
        uintptr_t begin;
        size_t n;
        exaone_weights_share(&w, HUGE_PAGE, p->n_threads, (int)thread, &begin, &n);
        if (w.data && w.part != EXAONE_PART_VISION && w.n_dims > 1 && w.bytes >= SMALLEST && n > 0) {
            read_pages(begin, n, (uintptr_t)w.data, p->page);
            (void)syscall(SYS_mbind, begin, n, POLICY_PREFERRED, nodes, (unsigned long)NODE_BITS + 1, POLICY_MOVE);
        }
    }
}

void exaone_weights_place(const exaone_weights *w, exaone_pool *pool, const exaone_cores *cores) {
    placing p = {w, cores, (size_t)sysconf(_SC_PAGESIZE), exaone_pool_size(pool)};
    exaone_pool_each(pool, place_share, &p);
}
