/* Tiles of block types, eight outputs at a time. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include "cpu/kernels/avx2/words.h"

#include "cpu/kernels/tile_store.h"

void exaone_kernels_avx2_unpack_tiles(exaone_kernels *k) {
    set_tile_makers(k);
}
#endif
