/* The ladder: plain C first, then each level that the machine has replaces what it improves. */
#include <assert.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

static int has_avx2(void) {
    unsigned eax, ebx, ecx, edx;
    __builtin_cpu_init(); /* it also asks the system whether it saves the wide registers */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) &&
           (ecx & bit_F16C); /* clang's builtin does not know F16C */
}
#else
static int has_avx2(void) {
    return 0;
}
#endif

const char *const *exaone_kernels_levels(void) {
    static const char *const both[] = {"scalar", "avx2", NULL};
    static const char *const plain[] = {"scalar", NULL};
    return has_avx2() ? both : plain;
}

const char *exaone_kernels_init(exaone_kernels *k, const char *level) {
    const char *const *levels = exaone_kernels_levels();
    const char *best = NULL;
    for (size_t i = 0; levels[i]; i++) {
        if (!level || strcmp(levels[i], level) == 0) {
            best = levels[i];
        }
    }
    if (!best) {
        return NULL;
    }
    memset(k, 0, sizeof *k);
    exaone_kernels_scalar(k);
    exaone_kernels_scalar_q8(k);
    exaone_kernels_scalar_scaled(k);
    exaone_kernels_scalar_cached(k);
#if defined(__x86_64__)
    if (strcmp(best, "avx2") == 0) {
        exaone_kernels_avx2(k);
        exaone_kernels_avx2_q8(k);
        exaone_kernels_avx2_unpack(k);
        exaone_kernels_avx2_scaled(k);
        exaone_kernels_avx2_cached(k);
    }
#endif
#define K(name, result, args) assert(k->name);
    EXAONE_KERNELS(K)
    EXAONE_KERNELS_Q8(K)
    EXAONE_KERNELS_SCALED(K)
    EXAONE_KERNELS_CACHED(K)
#undef K
    return best;
}
