/* The ladder: plain C first, then each level that the machine has replaces what it improves. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static int has_avx2(void) {
    unsigned eax, ebx, ecx, edx;
    __builtin_cpu_init(); /* it also asks the system whether it saves the wide registers */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) &&
           (ecx & bit_F16C); /* clang's builtin does not know F16C */
}

#if EXAONE_HAVE_AVXVNNI
static int has_avxvnni(void) {
    unsigned eax, ebx, ecx, edx;
    return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
}
#endif

#if EXAONE_HAVE_AVXVNNI
static void fill_avxvnni(exaone_kernels *k) {
    exaone_kernels_avxvnni(k);
    exaone_kernels_avxvnni_one_row(k);
}
#endif

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512vnni(void) {
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

#if EXAONE_HAVE_AMX
/* Tile, int8 and bf16 instructions: leaf 7.0, EDX bits 24, 25, 22. Linux lets a process use the tile registers (feature 18)
 * only when it has asked for them: ARCH_REQ_XCOMP_PERM, Documentation/arch/x86/xstate.rst. Asking twice is harmless. */
static int has_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    const unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25;
    unsigned eax, ebx, ecx, edx;
    return has_avx512vnni() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1) /* avx512-bf16 */ &&
           __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & wanted) == wanted &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

static void fill_avx2(exaone_kernels *k) {
    exaone_kernels_avx2(k);
    exaone_kernels_avx2_chains(k);
    exaone_kernels_avx2_q8(k);
    exaone_kernels_avx2_unpack(k);
    exaone_kernels_avx2_tiles(k);
    exaone_kernels_avx2_unpack_tiles(k);
    exaone_kernels_avx2_one_row(k);
    exaone_kernels_avx2_scaled(k);
    exaone_kernels_avx2_cached(k);
}

static void fill_avx512(exaone_kernels *k) {
    exaone_kernels_avx512(k);
    exaone_kernels_avx512_chains(k);
}

static void fill_avx512vnni(exaone_kernels *k) {
    exaone_kernels_avx512vnni(k);
    exaone_kernels_avx512vnni_unpack(k);
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        k->one_row[type] = NULL; /* by tiles it is as fast there */
    }
}

#if EXAONE_HAVE_AMX
static void fill_amx(exaone_kernels *k) {
    exaone_kernels_amx(k);
    exaone_kernels_amx_tiles(k);
}
#endif
#endif

#if defined(__aarch64__)
#include <sys/auxv.h>

/* Bits of AT_HWCAP and AT_HWCAP2 as the Linux kernel defines them for its programs on arm64 (asm/hwcap.h). */
static const unsigned long CAP_DOTPROD = 1UL << 20, CAP2_I8MM = 1UL << 13;

static int has_dotprod(void) {
    return (getauxval(AT_HWCAP) & CAP_DOTPROD) != 0;
}

static int has_i8mm(void) {
    return has_dotprod() && (getauxval(AT_HWCAP2) & CAP2_I8MM) != 0;
}

static void fill_neon(exaone_kernels *k) {
    exaone_kernels_neon(k);
    exaone_kernels_neon_q8(k);
    exaone_kernels_neon_unpack(k);
    exaone_kernels_neon_scaled(k);
    exaone_kernels_neon_cached(k);
}

static void fill_dotprod(exaone_kernels *k) {
    exaone_kernels_dotprod(k);
    exaone_kernels_dotprod_tiles(k);
}
#endif

void exaone_kernels_interleaved_tiles(exaone_kernels *k) {
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        bool has_min = exaone_blocks_group((exaone_dtype)type) && exaone_blocks_have_min((exaone_dtype)type);
        k->tile_offset[type] = has_min ? 0 : 128;
        k->tile_bits[type] = 8;
    }
}

static int always(void) {
    return 1;
}

static void fill_scalar(exaone_kernels *k) {
    exaone_kernels_scalar(k);
    exaone_kernels_scalar_q8(k);
    exaone_kernels_scalar_scaled(k);
    exaone_kernels_scalar_cached(k);
}

/* The rungs, each replacing what it improves of those below that the machine has: one with AVX-512 may lack AVX-VNNI. */
static const struct {
    const char *name;
    int (*present)(void);
    void (*fill)(exaone_kernels *k);
} ladder[] = {
    {"scalar", always, fill_scalar},
#if defined(__x86_64__)
    {"avx2", has_avx2, fill_avx2},
#if EXAONE_HAVE_AVXVNNI
    {"avx-vnni", has_avxvnni, fill_avxvnni},
#endif
    {"avx512", has_avx512, fill_avx512},
    {"avx512-vnni", has_avx512vnni, fill_avx512vnni},
#if EXAONE_HAVE_AMX
    {"amx", has_amx, fill_amx},
#endif
#elif defined(__aarch64__)
    {"neon", always, fill_neon},
    {"dotprod", has_dotprod, fill_dotprod},
    {"i8mm", has_i8mm, exaone_kernels_i8mm},
#endif
};

enum { RUNGS = sizeof ladder / sizeof ladder[0] };

const char *exaone_kernels_level(size_t i) {
    for (size_t rung = 0; rung < RUNGS; rung++) {
        if (ladder[rung].present() && i-- == 0) {
            return ladder[rung].name;
        }
    }
    return NULL;
}

const char *exaone_kernels_init(exaone_kernels *k, const char *level) {
    size_t last = RUNGS; /* the rung of this name, or the best */
    for (size_t i = 0; i < RUNGS; i++) {
        if (ladder[i].present() && (!level || strcmp(ladder[i].name, level) == 0)) {
            last = i;
        }
    }
    if (last == RUNGS) {
        return NULL;
    }
    memset(k, 0, sizeof *k);
    for (size_t i = 0; i <= last; i++) {
        if (ladder[i].present()) {
            ladder[i].fill(k);
        }
    }
#define K(name, result, args) assert(k->name);
    EXAONE_KERNELS(K)
    EXAONE_KERNELS_Q8(K)
    EXAONE_KERNELS_SCALED(K)
    EXAONE_KERNELS_CACHED(K)
#undef K
    return ladder[last].name;
}
