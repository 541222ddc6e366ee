/* Random numbers by counter: every number is a pure function of key and counter, so results depend neither on threads nor on
 * how many numbers somebody else drew. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). Not for secrets. */
#ifndef EXAONE_BASE_RNG_H
#define EXAONE_BASE_RNG_H

#include <stdint.h>

/* out [4] = Philox4x32-10 of counter [4] under key [2]. */
void exaone_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A double in [0, 1), a multiple of 2^-53, for number `index` of `stream` under `seed`. */
double exaone_rng_unit(uint64_t seed, uint32_t stream, uint64_t index);

#endif
