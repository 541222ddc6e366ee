/* Tiles of block types, sixteen outputs at a time. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include "cpu/kernels/avx512vnni/words.h"

#include "cpu/kernels/tile_store.h"

void exaone_kernels_avx512vnni_unpack(exaone_kernels *k) {
    set_tile_makers(k);
}
#endif
