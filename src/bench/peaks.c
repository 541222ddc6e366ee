/* Loops at the processor's peak. Every turn feeds CHAINS independent accumulators, enough to hide the latency of an addition
 * on two ports. The multiplicands pass through an empty assembler statement each turn, so that no product leaves the loop,
 * and so does each accumulator before the first: the compiler would see that they are equal and keep a single one.
 *
 * MAC counts: one per lane and f32 fused multiply-add; 8-bit and bf16 as many as products are summed per instruction group
 * (AVX2 and AVX-512 without VNNI need three instructions: vpmaddubsw, vpmaddwd, vpaddd). */
#include "bench/peaks.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

enum { CHAINS = 12 };

/* DO(S) for each accumulator. */
#define CHAIN(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7) S(8) S(9) S(10) S(11)

static int always(void) {
    return 1;
}

static uint32_t scalar_fma(size_t turns) {
    float a = 0.5f, b = 1.0f, s[CHAINS] = {0};
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+r"(a), "+r"(b));
        for (int i = 0; i < CHAINS; i++) {
            s[i] += a * b;
        }
        __asm__ volatile("" ::"r"(s) : "memory");
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        sum += s[i];
    }
    return (uint32_t)(sum > 0);
}

static uint32_t scalar_int8(size_t turns) {
    int32_t a = 3, b = 5, s[CHAINS] = {0};
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+r"(a), "+r"(b));
        for (int i = 0; i < CHAINS; i++) {
            s[i] += (int8_t)a * (int8_t)b;
        }
        __asm__ volatile("" ::"r"(s) : "memory");
    }
    return (uint32_t)s[0];
}

#if defined(__x86_64__)

__attribute__((target("avx2,fma"))) static uint32_t avx2_fma(size_t turns) {
    __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
#define S(i)                           \
    __m256 s##i = _mm256_setzero_ps(); \
    __asm__ volatile("" : "+x"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
#define S(i) s##i = _mm256_fmadd_ps(a, b, s##i);
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm256_add_ps(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm256_movemask_ps(b);
}

__attribute__((target("avx2"))) static uint32_t avx2_int8(size_t turns) {
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
#define S(i)                               \
    __m256i s##i = _mm256_setzero_si256(); \
    __asm__ volatile("" : "+x"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
#define S(i)                        \
    __asm__ volatile("" : "+x"(a)); \
    s##i = _mm256_add_epi32(s##i, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm256_add_epi32(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm256_extract_epi32(b, 0);
}

__attribute__((target("avx512f"))) static uint32_t avx512_fma(size_t turns) {
    __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
#define S(i)                           \
    __m512 s##i = _mm512_setzero_ps(); \
    __asm__ volatile("" : "+v"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#define S(i) s##i = _mm512_fmadd_ps(a, b, s##i);
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm512_add_ps(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

__attribute__((target("avx512f,avx512bw"))) static uint32_t avx512_int8(size_t turns) {
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5), ones = _mm512_set1_epi16(1);
#define S(i)                               \
    __m512i s##i = _mm512_setzero_si512(); \
    __asm__ volatile("" : "+v"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
#define S(i)                        \
    __asm__ volatile("" : "+v"(a)); \
    s##i = _mm512_add_epi32(s##i, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), ones));
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm512_add_epi32(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm512_cmplt_epi32_mask(a, b);
}

__attribute__((target("avx512f,avx512vnni"))) static uint32_t vnni_int8(size_t turns) {
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
#define S(i)                               \
    __m512i s##i = _mm512_setzero_si512(); \
    __asm__ volatile("" : "+v"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#define S(i) s##i = _mm512_dpbusd_epi32(s##i, a, b);
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm512_add_epi32(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm512_cmplt_epi32_mask(a, b);
}

#if EXAONE_HAVE_AVXVNNI
__attribute__((target("avx2,avxvnni"))) static uint32_t avxvnni_int8(size_t turns) {
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
#define S(i)                               \
    __m256i s##i = _mm256_setzero_si256(); \
    __asm__ volatile("" : "+x"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
#define S(i) s##i = _mm256_dpbusd_avx_epi32(s##i, a, b);
        CHAIN(S)
#undef S
    }
#define S(i) b = _mm256_add_epi32(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm256_extract_epi32(b, 0);
}
#endif

__attribute__((target("avx512f,avx512bf16"))) static uint32_t bf16_dot(size_t turns) {
    __m512i bits = _mm512_set1_epi16(0x3f00); /* 0.5 */
    __m512bh a = (__m512bh)bits, b = (__m512bh)bits;
#define S(i)                           \
    __m512 s##i = _mm512_setzero_ps(); \
    __asm__ volatile("" : "+v"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#define S(i) s##i = _mm512_dpbf16_ps(s##i, a, b);
        CHAIN(S)
#undef S
    }
    __m512 sum = _mm512_setzero_ps();
#define S(i) sum = _mm512_add_ps(sum, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)_mm512_cmp_ps_mask(sum, s0, _CMP_LT_OQ);
}

/* ---- tiles ---- */

#define TILE_TARGET __attribute__((target("amx-tile,amx-int8,amx-bf16")))

/* All eight tiles of 16 rows of 64 bytes: four sums, two of each multiplicand. The system must have been asked for the tile
 * registers (present_amx). */
TILE_TARGET static void tiles_open(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes_per_row[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    uint8_t zeros[1024] = {0};
    for (int i = 0; i < 8; i++) {
        shape.bytes_per_row[i] = 64;
        shape.rows[i] = 16;
    }
    __asm__ volatile("" ::"r"(&shape), "r"(zeros) : "memory"); /* the intrinsics do not say all that they read */
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, zeros, 64);
    _tile_loadd(5, zeros, 64);
    _tile_loadd(6, zeros, 64);
    _tile_loadd(7, zeros, 64);
}

TILE_TARGET static uint32_t tiles_close(void) {
    uint32_t out[256];
    _tile_stored(0, out, 64);
    __asm__ volatile("" ::"r"(out) : "memory");
    _tile_release();
    return out[0];
}

TILE_TARGET static uint32_t amx_int8(size_t turns) {
    tiles_open();
    for (size_t t = 0; t < turns; t++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    return tiles_close();
}

TILE_TARGET static uint32_t amx_bf16(size_t turns) {
    tiles_open();
    for (size_t t = 0; t < turns; t++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    return tiles_close();
}

/* ---- presence ---- */

#include <cpuid.h>

static int present_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#if EXAONE_HAVE_AVXVNNI
static int present_avxvnni(void) {
    unsigned eax, ebx, ecx, edx; /* leaf 7.1, EAX bit 4 */
    return present_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
}
#endif

static int present_avx512(void) {
    return present_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

static int present_vnni(void) {
    return present_avx512() && __builtin_cpu_supports("avx512vnni");
}

static int present_bf16(void) {
    unsigned eax, ebx, ecx, edx; /* leaf 7.1, EAX bit 5 */
    return present_avx512() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1);
}

/* Leaf 7.0, EDX bits 22, 24, 25; then Linux must allow the tile registers: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE 18). */
static int present_amx(void) {
    unsigned eax, ebx, ecx, edx;
    if (!present_avx512() || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) ||
        !(edx >> 22 & 1 && edx >> 24 & 1 && edx >> 25 & 1)) {
        return 0;
    }
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
#endif

#if defined(__aarch64__)
static uint32_t neon_fma(size_t turns) {
    float32x4_t a = vdupq_n_f32(0.5f), b = vdupq_n_f32(1.0f);
#define S(i)                           \
    float32x4_t s##i = vdupq_n_f32(0); \
    __asm__ volatile("" : "+w"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+w"(a), "+w"(b));
#define S(i) s##i = vfmaq_f32(s##i, a, b);
        CHAIN(S)
#undef S
    }
#define S(i) b = vaddq_f32(b, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)(vaddvq_f32(b) > 0);
}

static uint32_t neon_int8(size_t turns) {
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(5);
#define S(i)                         \
    int32x4_t s##i = vdupq_n_s32(0); \
    __asm__ volatile("" : "+w"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
#define S(i)                        \
    __asm__ volatile("" : "+w"(a)); \
    s##i = vpadalq_s16(s##i, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
        CHAIN(S)
#undef S
    }
#define S(i) s0 = vaddq_s32(s0, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)vaddvq_s32(s0);
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static uint32_t dotprod_int8(size_t turns) {
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(5);
#define S(i)                         \
    int32x4_t s##i = vdupq_n_s32(0); \
    __asm__ volatile("" : "+w"(s##i));
    CHAIN(S)
#undef S
    for (size_t t = 0; t < turns; t++) {
        __asm__ volatile("" : "+w"(a), "+w"(b));
#define S(i) s##i = vdotq_s32(s##i, a, b);
        CHAIN(S)
#undef S
    }
#define S(i) s0 = vaddq_s32(s0, s##i);
    CHAIN(S)
#undef S
    return (uint32_t)vaddvq_s32(s0);
}

/* AT_HWCAP bit 20 (HWCAP_ASIMDDP). */
static int present_dotprod(void) {
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
}
#endif

const exaone_peak_loop exaone_peak_loops[] = {
    {{EXAONE_PEAK_FMA, "scalar", "scalar"}, CHAINS, always, scalar_fma},
    {{EXAONE_PEAK_INT8, "scalar", "scalar"}, CHAINS, always, scalar_int8},
#if defined(__x86_64__)
    {{EXAONE_PEAK_FMA, "avx2", "avx2"}, CHAINS * 8, present_avx2, avx2_fma},
    {{EXAONE_PEAK_INT8, "avx2", "avx2"}, CHAINS * 32, present_avx2, avx2_int8},
#if EXAONE_HAVE_AVXVNNI
    {{EXAONE_PEAK_INT8, "avx-vnni", "avx-vnni"}, CHAINS * 32, present_avxvnni, avxvnni_int8},
#endif
    {{EXAONE_PEAK_FMA, "avx512", "avx512"}, CHAINS * 16, present_avx512, avx512_fma},
    {{EXAONE_PEAK_INT8, "avx512", "avx512"}, CHAINS * 64, present_avx512, avx512_int8},
    {{EXAONE_PEAK_INT8, "avx512-vnni", "avx512-vnni"}, CHAINS * 64, present_vnni, vnni_int8},
    {{EXAONE_PEAK_BF16, "avx512-bf16", "avx512-bf16"}, CHAINS * 32, present_bf16, bf16_dot},
    {{EXAONE_PEAK_INT8, "amx", "amx"}, 4 * 16 * 16 * 64, present_amx, amx_int8},
    {{EXAONE_PEAK_BF16, "amx", "amx"}, 4 * 16 * 16 * 32, present_amx, amx_bf16},
#elif defined(__aarch64__)
    {{EXAONE_PEAK_FMA, "neon", "neon"}, CHAINS * 4, always, neon_fma},
    {{EXAONE_PEAK_INT8, "neon", "neon"}, CHAINS * 16, always, neon_int8},
    {{EXAONE_PEAK_INT8, "dotprod", "dotprod"}, CHAINS * 16, present_dotprod, dotprod_int8},
#endif
};

const size_t exaone_n_peak_loops = sizeof exaone_peak_loops / sizeof exaone_peak_loops[0];

/* ---- reading ---- */

static uint64_t read_plain(const uint8_t *p, size_t n) {
    uint64_t sum[4] = {0}, x[4];
    for (size_t i = 0; i < n; i += 32) {
        memcpy(x, p + i, 32);
        for (int k = 0; k < 4; k++) {
            sum[k] ^= x[k];
        }
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

#if defined(__x86_64__)
/* Lines some pages ahead are asked for: the hardware's own streams stop at the end of a page. */
enum { AHEAD = 4096 };

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *p, size_t n, bool ahead) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < n; i += 256) {
        for (size_t k = 0; ahead && k < 256; k += 64) {
            _mm_prefetch((const char *)(p + i + k + AHEAD), _MM_HINT_T0);
        }
        const __m256i *v = (const __m256i *)(const void *)(p + i);
        a = _mm256_xor_si256(a, _mm256_xor_si256(_mm256_load_si256(v), _mm256_load_si256(v + 4)));
        b = _mm256_xor_si256(b, _mm256_xor_si256(_mm256_load_si256(v + 1), _mm256_load_si256(v + 5)));
        c = _mm256_xor_si256(c, _mm256_xor_si256(_mm256_load_si256(v + 2), _mm256_load_si256(v + 6)));
        d = _mm256_xor_si256(d, _mm256_xor_si256(_mm256_load_si256(v + 3), _mm256_load_si256(v + 7)));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    return (uint64_t)_mm256_extract_epi64(a, 0);
}
#endif

uint64_t exaone_peak_read(const uint8_t *p, size_t n, bool ahead) {
#if defined(__x86_64__)
    if (present_avx2()) {
        return read_avx2(p, n, ahead);
    }
#endif
    (void)ahead;
    return read_plain(p, n);
}
