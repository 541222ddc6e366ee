/* What a pass must at least read and compute: sums over the model's own matrices and cache. */
#ifndef EXAONE_BENCH_COST_H
#define EXAONE_BENCH_COST_H

#include "engine/engine_internal.h"
#include "exaone/bench.h"

/* Adds a matrix that is read n_calls times and multiplied with n_rows rows. */
void exaone_cost_matrix(exaone_bench_cost *cost, const exaone_engine *e, const exaone_matrix *m, double n_rows,
                        double n_calls);
/* Adds the matrices of a decoder layer. */
void exaone_cost_layer(exaone_bench_cost *cost, const exaone_engine *e, const exaone_layer *l, double n_rows,
                       double n_calls);
/* Adds attention of n_rows rows, the first at index `context`, in calls of `batch` rows; window 0: all keys before. */
void exaone_cost_attention(exaone_bench_cost *cost, const exaone_engine *e, const exaone_kv *kv, size_t context,
                           size_t n_rows, size_t batch, size_t window);
/* Adds the vision tower over a plan. */
void exaone_cost_vision(exaone_bench_cost *cost, const exaone_engine *e, const exaone_vision_plan *plan);

#endif
