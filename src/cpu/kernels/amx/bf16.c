/* AMX kernels: products of BF16 weights by 16-bit tiles. */
#include "cpu/kernels/kernels.h"

void exaone_kernels_amx(exaone_kernels *k) {
    (void)k;
}
