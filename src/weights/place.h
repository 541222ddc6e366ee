/* Weights on the memory nodes whose threads use them. */
#ifndef EXAONE_WEIGHTS_PLACE_H
#define EXAONE_WEIGHTS_PLACE_H

#include "base/cores.h"
#include "base/pool.h"
#include "weights/weights.h"

/* The bytes of a matrix that belong to share i of n_threads: its rows i * rows / n_threads and those that follow, from and
 * to the begin of a page. Shares follow each other, also from a matrix to the one behind it; what comes after the begin of
 * the last page is in none. *n = 0: an empty share. */
void exaone_weights_share(const exaone_weight *w, size_t page, int n_threads, int i, uintptr_t *begin, size_t *n);

/* Every thread of the pool, which was made on `cores`, reads its share of every matrix, so that pages that are not in memory
 * yet come to its node, and asks the system to move there what is elsewhere. Reads whole files: as slow as the disk. Whole
 * huge pages only, no matrix below 8 MB and none of the vision tower, which computes more than it reads. */
void exaone_weights_place(const exaone_weights *w, exaone_pool *pool, const exaone_cores *cores);

#endif
