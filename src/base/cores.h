/* Which of the machine's cores are worth a thread, and on which memory nodes they are.
 *
 * A thread that waits for memory or for a vector unit gains nothing from a second one on the same core, and a job is as fast
 * as its slowest share: so one thread per core, on the fast cores of a machine that has two kinds. Sources are files that
 * Linux keeps (Documentation/ABI/testing/sysfs-devices-system-cpu, sysfs-devices-node; cgroup-v2 "cpu.max"); one that is
 * missing or says nothing sensible counts as if it were not there. */
#ifndef EXAONE_BASE_CORES_H
#define EXAONE_BASE_CORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXAONE_MAX_CPUS = 1024, EXAONE_MAX_NODES = 64 };

typedef struct exaone_cpu_set {
    uint64_t bits[EXAONE_MAX_CPUS / 64];
} exaone_cpu_set;

typedef struct exaone_cores {
    size_t n;                           /* cores, at least 1 */
    uint16_t cpu[EXAONE_MAX_CPUS];      /* [n] a CPU of each; those of a node side by side */
    uint8_t node[EXAONE_MAX_CPUS];      /* [n] its node: 0 .. n_nodes - 1, in rising order */
    size_t n_nodes;                     /* memory nodes that have such cores, at least 1 */
    uint16_t node_id[EXAONE_MAX_NODES]; /* [n_nodes] the system's number of each */
    size_t quota;                       /* threads that the control group pays for; SIZE_MAX: all */
} exaone_cores;

static inline bool exaone_cpu_set_has(const exaone_cpu_set *set, size_t cpu) {
    return cpu < EXAONE_MAX_CPUS && (set->bits[cpu / 64] >> cpu % 64 & 1);
}
static inline void exaone_cpu_set_add(exaone_cpu_set *set, size_t cpu) {
    if (cpu < EXAONE_MAX_CPUS) {
        set->bits[cpu / 64] |= (uint64_t)1 << cpu % 64;
    }
}

/* CPUs that the calling thread may run on; CPU 0 alone where the system does not say. */
void exaone_cpu_set_allowed(exaone_cpu_set *set);

/* The cores among the allowed CPUs. root: what to put before /sys and /proc, "" on a real machine. Of two CPUs of one core
 * the lower; of performance and other cores, or where some are slower by more than a fifth, the former only. */
void exaone_cores_read(const char *root, const exaone_cpu_set *allowed, exaone_cores *out);

/* The same of this machine and the calling thread. */
void exaone_cores_here(exaone_cores *out);

/* Threads to start when nobody says: one per core, within the quota and 64. */
int exaone_cores_threads(const exaone_cores *cores);

int exaone_cores_default(void); /* of exaone_cores_here */

/* The core of thread i of n_threads: i * n / n_threads, so threads that follow each other share a node. */
size_t exaone_cores_place(const exaone_cores *cores, int n_threads, int i);

#endif
