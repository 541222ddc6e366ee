/* The prefix cache of one sequence: what it can load instead of evaluating, and saving what it evaluated.
 *
 * Keys. h(0) = hash of what the numbers depend on besides the prompt (model, precision, kernels, cache types, version);
 * h(b + 1) = hash(h(b), the 64 ids of block b, place, length and digest of each medium that begins in it). A block is
 * EXAONE_KV_PAGE tokens, one page per layer.
 *   block b       the rows of all full layers, under h(b + 1): shared by every timeline that begins with these tokens
 *   checkpoint k  the window before token 64 k - 1 in the sliding layers and the draft module, under h(k): a list of pieces
 *   piece         one page of all those layers, under the hash of its bytes: checkpoints near each other share most of them
 * A timeline continues at token 64 k - 1 when blocks 0 .. k - 1 and checkpoint k are there. It ends one token before the
 * block does because entry 64 k - 2 of the draft module is made with token 64 k - 1: so everything that is loaded follows
 * from the tokens in h(k), and that token, evaluated again, gives the hidden state to go on with.
 *
 * Checkpoints are made at the last two block ends of a prompt and of a turn, and every few thousand tokens. */
#ifndef EXAONE_ENGINE_PREFIX_CACHE_H
#define EXAONE_ENGINE_PREFIX_CACHE_H

#include "engine/sequence.h"
#include "exaone/cache.h"

typedef struct exaone_prefix exaone_prefix;

/* For one sequence at a time. Owned by the caller: exaone_prefix_free; the cache must outlive it. */
EXAONE_MUST_USE exaone_status exaone_prefix_new(exaone_cache *cache, const exaone_sequence *s, exaone_prefix **out,
                                                exaone_error *err);
/* The same for a fork of the sequence, or for another sequence of its options once exaone_prefix_load was called. */
EXAONE_MUST_USE exaone_status exaone_prefix_fork(const exaone_prefix *from, exaone_prefix **out, exaone_error *err);
void exaone_prefix_free(exaone_prefix *p); /* NULL is fine */

/* After exaone_sequence_begin: makes the timeline longer by what the cache has of the tokens that wait. `reused` counts
 * them. */
void exaone_prefix_load(exaone_prefix *p, exaone_sequence *s);
/* After each forward call of a prompt: saves blocks that are complete, now and then a checkpoint. Never waits. */
void exaone_prefix_note(exaone_prefix *p, const exaone_sequence *s);
/* At the end of a prompt or turn: blocks and checkpoints. `wait`: for a slow disk, else entries may be left out. */
void exaone_prefix_save(exaone_prefix *p, const exaone_sequence *s, bool wait);

/* What is hashed into h(0), for tests: the same for two engines exactly when one may use the other's entries. */
EXAONE_MUST_USE exaone_status exaone_prefix_identity(const exaone_sequence *s, uint8_t identity[32], exaone_error *err);

#endif
