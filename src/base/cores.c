/* Cores, memory nodes and quota from /sys and /proc: see cores.h. */
#include "base/cores.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE = 8192, MAX_DEFAULT_THREADS = 64, MAX_PATH = 4096, SLOW_NUM = 4, SLOW_DEN = 5 };

/* ---- files ---- */

/* The begin of a small file, as text, or "" when it cannot be read; a name that is too long is like no file. */
__attribute__((format(printf, 2, 3))) static const char *read_text(char text[MAX_FILE], const char *format, ...) {
    char path[MAX_PATH];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    text[0] = '\0';
    int fd = length > 0 && length < MAX_PATH ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0) {
        return text;
    }
    size_t n = 0;
    while (n < MAX_FILE - 1) {
        ssize_t got = read(fd, text + n, MAX_FILE - 1 - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    close(fd);
    text[n] = '\0';
    return text;
}

/* The decimal number at *p, which moves behind it; false when there is none or it is above `max`. */
static bool number_at(const char **p, uint64_t max, uint64_t *out) {
    uint64_t n = 0;
    const char *s = *p;
    if (*s < '0' || *s > '9') {
        return false;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (n > (max - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *p = s;
    *out = n;
    return true;
}

/* A list of numbers and ranges as "0-3,8,10-11"; what follows the first fault is not read. CPUs that a set has no room for
 * are left out. */
static void read_list(const char *text, exaone_cpu_set *set) {
    memset(set, 0, sizeof *set);
    uint64_t first, last;
    while (number_at(&text, INT32_MAX, &first)) {
        last = first;
        if (*text == '-') {
            text++;
            if (!number_at(&text, INT32_MAX, &last) || last < first) {
                return;
            }
        }
        for (uint64_t i = first; i <= last && i < EXAONE_MAX_CPUS; i++) {
            exaone_cpu_set_add(set, (size_t)i);
        }
        if (*text++ != ',') {
            return;
        }
    }
}

/* The number that a file begins with; 0 when there is none. */
static uint64_t read_number(const char *text) {
    uint64_t n;
    return number_at(&text, UINT32_MAX, &n) ? n : 0;
}

/* ---- cores ---- */

/* Whether no lower allowed CPU is on the same core. */
static bool first_of_core(const char *root, const exaone_cpu_set *allowed, size_t cpu) {
    char text[MAX_FILE];
    exaone_cpu_set siblings;
    read_list(read_text(text, "%s/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", root, cpu), &siblings);
    if (!exaone_cpu_set_has(&siblings, cpu)) { /* a list that does not name the CPU itself is wrong */
        return true;
    }
    for (size_t other = 0; other < cpu; other++) {
        if (exaone_cpu_set_has(&siblings, other) && exaone_cpu_set_has(allowed, other)) {
            return false;
        }
    }
    return true;
}

/* Keeps the CPUs of `set` that are in `kept`, unless none would be left. */
static void keep(exaone_cpu_set *set, const exaone_cpu_set *kept) {
    exaone_cpu_set both;
    uint64_t any = 0;
    for (size_t i = 0; i < EXAONE_MAX_CPUS / 64; i++) {
        both.bits[i] = set->bits[i] & kept->bits[i];
        any |= both.bits[i];
    }
    if (any) {
        *set = both;
    }
}

/* Keeps the CPUs whose number in `file` is at least 4/5 of the largest; all when one has none. */
static bool keep_fast(const char *root, const char *file, exaone_cpu_set *set) {
    uint64_t speed[EXAONE_MAX_CPUS] = {0}, most = 0;
    char text[MAX_FILE];
    for (size_t cpu = 0; cpu < EXAONE_MAX_CPUS; cpu++) {
        if (exaone_cpu_set_has(set, cpu)) {
            speed[cpu] = read_number(read_text(text, "%s/sys/devices/system/cpu/cpu%zu/%s", root, cpu, file));
            if (speed[cpu] == 0) {
                return false;
            }
            most = speed[cpu] > most ? speed[cpu] : most;
        }
    }
    exaone_cpu_set fast = {0};
    bool slow = false;
    for (size_t cpu = 0; cpu < EXAONE_MAX_CPUS; cpu++) {
        if (speed[cpu] * SLOW_DEN >= most * SLOW_NUM) {
            exaone_cpu_set_add(&fast, cpu);
        } else {
            slow = slow || speed[cpu] != 0;
        }
    }
    keep(set, &fast);
    return slow;
}

static void keep_performance(const char *root, exaone_cpu_set *set) {
    char text[MAX_FILE];
    exaone_cpu_set fast;
    read_list(read_text(text, "%s/sys/devices/cpu_core/cpus", root), &fast); /* Intel's performance cores */
    keep(set, &fast);
    if (!keep_fast(root, "cpu_capacity", set)) {
        (void)keep_fast(root, "cpufreq/cpuinfo_max_freq", set);
    }
}

/* ---- nodes ---- */

/* Moves the CPUs that are in `cpus` (NULL: all) from `left` to the end of *out. */
static void move_cores(exaone_cores *out, exaone_cpu_set *left, const exaone_cpu_set *cpus, size_t node) {
    for (size_t cpu = 0; cpu < EXAONE_MAX_CPUS; cpu++) {
        if (exaone_cpu_set_has(left, cpu) && (!cpus || exaone_cpu_set_has(cpus, cpu))) {
            left->bits[cpu / 64] &= ~((uint64_t)1 << cpu % 64);
            out->cpu[out->n] = (uint16_t)cpu;
            out->node[out->n++] = (uint8_t)node;
        }
    }
}

/* Node by node; CPUs that no node claims count as the last one's. */
static void sort_by_node(const char *root, exaone_cpu_set *set, exaone_cores *out) {
    char text[MAX_FILE];
    exaone_cpu_set online, cpus;
    read_list(read_text(text, "%s/sys/devices/system/node/online", root), &online);
    for (size_t id = 0; id < EXAONE_MAX_CPUS && out->n_nodes < EXAONE_MAX_NODES; id++) {
        if (exaone_cpu_set_has(&online, id)) {
            size_t before = out->n;
            read_list(read_text(text, "%s/sys/devices/system/node/node%zu/cpulist", root, id), &cpus);
            move_cores(out, set, &cpus, out->n_nodes);
            if (out->n > before) {
                out->node_id[out->n_nodes++] = (uint16_t)id;
            }
        }
    }
    out->n_nodes += out->n_nodes == 0;
    move_cores(out, set, NULL, out->n_nodes - 1);
}

/* ---- quota ---- */

/* Threads that QUOTA of every PERIOD pays for, rounded up; SIZE_MAX for "max" and what makes no sense. */
static size_t threads_of(uint64_t quota, uint64_t period) {
    return quota == 0 || period == 0 ? SIZE_MAX : (size_t)((quota - 1) / period + 1);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* cpu.max of one group: "QUOTA PERIOD" in microseconds, or "max PERIOD". */
static size_t group_quota(const char *root, const char *group) {
    char text[MAX_FILE];
    const char *p = read_text(text, "%s/sys/fs/cgroup%s/cpu.max", root, group);
    uint64_t quota, period;
    if (!number_at(&p, UINT32_MAX, &quota) || *p++ != ' ' || !number_at(&p, UINT32_MAX, &period)) {
        return SIZE_MAX;
    }
    return threads_of(quota, period);
}

/* The narrowest of the process's group and those above it. */
static size_t quota(const char *root) {
    char text[MAX_FILE];
    read_text(text, "%s/sys/fs/cgroup/cpu/cpu.cfs_quota_us", root); /* version 1, as containers see it */
    uint64_t per_period = read_number(text);
    read_text(text, "%s/sys/fs/cgroup/cpu/cpu.cfs_period_us", root);
    size_t n = least(threads_of(per_period, read_number(text)), group_quota(root, ""));
    read_text(text, "%s/proc/self/cgroup", root);
    char *group = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (!group) {
        return n;
    }
    group = strchr(group, '/');
    group[strcspn(group, "\n")] = '\0';
    while (strlen(group) > 1 && !strstr(group, "/..")) {
        n = least(n, group_quota(root, group));
        *strrchr(group, '/') = '\0';
    }
    return n;
}

/* ---- */

void exaone_cpu_set_allowed(exaone_cpu_set *set) {
    memset(set, 0, sizeof *set);
    cpu_set_t system;
    if (sched_getaffinity(0, sizeof system, &system) != 0) {
        exaone_cpu_set_add(set, 0);
        return;
    }
    for (size_t cpu = 0; cpu < EXAONE_MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &system)) {
            exaone_cpu_set_add(set, cpu);
        }
    }
}

void exaone_cores_read(const char *root, const exaone_cpu_set *allowed, exaone_cores *out) {
    memset(out, 0, sizeof *out);
    exaone_cpu_set set = {0};
    for (size_t cpu = 0; cpu < EXAONE_MAX_CPUS; cpu++) {
        if (exaone_cpu_set_has(allowed, cpu) && first_of_core(root, allowed, cpu)) {
            exaone_cpu_set_add(&set, cpu);
        }
    }
    keep_performance(root, &set);
    sort_by_node(root, &set, out);
    if (out->n == 0) { /* nothing is allowed: there is a thread that asks, all the same */
        out->n = 1;
    }
    out->quota = quota(root);
}

void exaone_cores_here(exaone_cores *out) {
    exaone_cpu_set allowed;
    exaone_cpu_set_allowed(&allowed);
    exaone_cores_read("", &allowed, out);
}

int exaone_cores_threads(const exaone_cores *cores) {
    return (int)least(least(cores->n, cores->quota), MAX_DEFAULT_THREADS);
}

int exaone_cores_default(void) {
    exaone_cores cores;
    exaone_cores_here(&cores);
    return exaone_cores_threads(&cores);
}

size_t exaone_cores_place(const exaone_cores *cores, int n_threads, int i) {
    return (size_t)i * cores->n / (size_t)n_threads;
}
