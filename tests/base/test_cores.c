/* Which cores get a thread, on made-up machines: hyperthreads, two kinds of cores, memory nodes, masks, quotas, and files
 * that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/cores.h"

#define CPU "sys/devices/system/cpu/cpu"
#define NODE "sys/devices/system/node/"

static char machine[64]; /* the folder of the machine that the test makes up */

static const char *root(void) {
    return scratch_path(machine);
}

static void begin(const char *name) {
    snprintf(machine, sizeof machine, "%s", name);
    char path[128];
    snprintf(path, sizeof path, "%s/empty", name);
    scratch_write_text(path, "");
}

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", machine, name);
    scratch_write_text(path, text);
}

static void put_cpu(size_t cpu, const char *file, const char *text) {
    char name[128];
    snprintf(name, sizeof name, CPU "%zu/%s", cpu, file);
    put(name, text);
}

static exaone_cpu_set cpus(size_t first, size_t last) {
    exaone_cpu_set set = {{0}};
    for (size_t i = first; i <= last; i++) {
        exaone_cpu_set_add(&set, i);
    }
    return set;
}

/* Reads and compares: `want` is "CPU:NODE CPU:NODE …". */
static exaone_cores check(exaone_cpu_set allowed, const char *want) {
    exaone_cores c;
    exaone_cores_read(root(), &allowed, &c);
    char text[2048] = "";
    for (size_t i = 0, n = 0; i < c.n && n < sizeof text - 16; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u:%u", i ? " " : "", c.cpu[i], c.node[i]);
        assert_true(c.node[i] < c.n_nodes && c.n_nodes <= EXAONE_MAX_NODES);
    }
    assert_string_equal(text, want);
    return c;
}

/* Nothing is known: every allowed CPU is a core. */
static void test_unknown(void **state) {
    (void)state;
    begin("unknown");
    exaone_cores c = check(cpus(0, 3), "0:0 1:0 2:0 3:0");
    assert_int_equal(c.n_nodes, 1);
    assert_int_equal(c.quota, SIZE_MAX);
    assert_int_equal(exaone_cores_threads(&c), 4);
    check(cpus(5, 6), "5:0 6:0");
    check((exaone_cpu_set){{0}}, "0:0");
    c = check(
        cpus(1000, EXAONE_MAX_CPUS - 1),
        "1000:0 1001:0 1002:0 1003:0 1004:0 1005:0 1006:0 1007:0 1008:0 1009:0 1010:0 1011:0 1012:0 1013:0 1014:0 1015:0 "
        "1016:0 1017:0 1018:0 1019:0 1020:0 1021:0 1022:0 1023:0");
}

/* 4 cores of two threads each; then a mask that leaves some cores only the second thread. */
static void test_hyperthreads(void **state) {
    (void)state;
    begin("threads");
    for (size_t i = 0; i < 8; i++) {
        char list[16];
        snprintf(list, sizeof list, "%zu,%zu\n", i % 4, i % 4 + 4);
        put_cpu(i, "topology/thread_siblings_list", list);
    }
    check(cpus(0, 7), "0:0 1:0 2:0 3:0");
    check(cpus(2, 7), "2:0 3:0 4:0 5:0");
    check(cpus(4, 5), "4:0 5:0");
}

/* 2 performance cores with two threads (one of them a favourite) and 4 slow ones, told in three ways. */
static void test_hybrid(void **state) {
    (void)state;
    static const char *const speeds[] = {"1024", "1024", "980", "980", "600", "600", "600", "600"};
    static const char *const siblings[] = {"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"};
    for (int way = 0; way < 3; way++) {
        static const char *const names[] = {"core", "capacity", "frequency"};
        begin(names[way]);
        for (size_t i = 0; i < 8; i++) {
            put_cpu(i, "topology/thread_siblings_list", siblings[i]);
            if (way > 0) {
                put_cpu(i, way == 1 ? "cpu_capacity" : "cpufreq/cpuinfo_max_freq", speeds[i]);
            }
        }
        if (way == 0) {
            put("sys/devices/cpu_core/cpus", "0-3\n");
            put("sys/devices/cpu_atom/cpus", "4-7\n");
        }
        check(cpus(0, 7), "0:0 2:0");
        check(cpus(3, 5), "3:0");
        check(cpus(4, 7), "4:0 5:0 6:0 7:0"); /* nothing else is allowed */
    }
    put_cpu(5, "cpufreq/cpuinfo_max_freq", "unknown"); /* one number is missing: none counts */
    check(cpus(0, 7), "0:0 2:0 4:0 5:0 6:0 7:0");
}

/* Two nodes whose CPUs alternate, of two threads each, and one without CPUs. */
static void test_nodes(void **state) {
    (void)state;
    begin("nodes");
    put(NODE "online", "0,2-3\n");
    put(NODE "node0/cpulist", "0,2,4,6\n");
    put(NODE "node2/cpulist", "\n");
    put(NODE "node3/cpulist", "1,3,5,7\n");
    for (size_t i = 0; i < 8; i++) {
        char list[16];
        snprintf(list, sizeof list, "%zu,%zu", i % 4, i % 4 + 4);
        put_cpu(i, "topology/thread_siblings_list", list);
    }
    exaone_cores c = check(cpus(0, 7), "0:0 2:0 1:1 3:1");
    assert_int_equal(c.n_nodes, 2);
    assert_int_equal(c.node_id[0], 0);
    assert_int_equal(c.node_id[1], 3);
    /* threads follow each other on a node, fewer or more of them than cores */
    static const size_t places[][8] = {{0}, {0, 2}, {0, 1, 2}, {0, 1, 2, 3}, {0}, {0}, {0}, {0, 0, 1, 1, 2, 2, 3, 3}};
    for (int n = 1; n <= 8; n++) {
        for (int i = 0; i < n && places[n - 1][n - 1] != 0; i++) {
            assert_int_equal(exaone_cores_place(&c, n, i), places[n - 1][i]);
        }
    }
    c = check(cpus(1, 1), "1:0");
    assert_int_equal(c.node_id[0], 3);
    assert_int_equal(c.n_nodes, 1);
    check(cpus(6, 9), "6:0 7:1 8:1 9:1"); /* no node has 8 and 9 */
}

static void check_quota(const char *file, const char *text, size_t want) {
    put(file, text);
    exaone_cpu_set all = cpus(0, 15);
    exaone_cores c;
    exaone_cores_read(root(), &all, &c);
    assert_int_equal(c.quota, want);
    assert_int_equal(exaone_cores_threads(&c), want < 16 ? want : 16);
}

static void test_quota(void **state) {
    (void)state;
    begin("quota");
    check_quota("sys/fs/cgroup/cpu.max", "max 100000\n", SIZE_MAX);
    check_quota("sys/fs/cgroup/cpu.max", "400000 100000\n", 4);
    check_quota("sys/fs/cgroup/cpu.max", "150000 100000\n", 2);
    check_quota("sys/fs/cgroup/cpu.max", "1000 100000\n", 1);
    check_quota("sys/fs/cgroup/cpu.max", "9000000 100000\n", 90);
    check_quota("sys/fs/cgroup/a/cpu.max", "300000 100000\n", 90); /* not the process's group */
    check_quota("proc/self/cgroup", "3:cpu:/x\n0::/a/b\n", 3);
    check_quota("sys/fs/cgroup/a/b/cpu.max", "200000 100000\n", 2);
    check_quota("proc/self/cgroup", "0::/../a/b\n", 90);
    check_quota("proc/self/cgroup", "0::/\n", 90);
    static const char *const nonsense[] = {"",       "0 100000",      "100000 0", "-5 100000",
                                           "100000", "x 100000",      "1e5 1e5",  "99999999999999999999 1",
                                           "1  1",   "100000\t100000"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        check_quota("sys/fs/cgroup/cpu.max", nonsense[i], SIZE_MAX);
    }
    check_quota("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", SIZE_MAX); /* version 1 */
    check_quota("sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n", SIZE_MAX);
    check_quota("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n", 5);
}

/* Files that say nonsense change nothing, and cost no time. */
static void test_damaged(void **state) {
    (void)state;
    begin("damaged");
    static const char *const nonsense[] = {"",
                                           "-",
                                           "x",
                                           "0-",
                                           "3-0",
                                           "1,,2",
                                           "99999999999999999999",
                                           "0-99999999999999999999",
                                           "-1",
                                           "2147483648",
                                           "1-2147483647",
                                           "0x1",
                                           "\n\n"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        put(NODE "online", nonsense[i]);
        put("sys/devices/cpu_core/cpus", strchr(nonsense[i], 'x') ? "x" : "4096");
        for (size_t cpu = 0; cpu < 2; cpu++) {
            put_cpu(cpu, "cpu_capacity", "0");
            put_cpu(cpu, "cpufreq/cpuinfo_max_freq", nonsense[i]);
        }
        put_cpu(0, "topology/thread_siblings_list", "5-9");
        put_cpu(1, "topology/thread_siblings_list", "0"); /* does not name CPU 1 */
        exaone_cores c;
        exaone_cpu_set both = cpus(0, 1);
        exaone_cores_read(root(), &both, &c);
        assert_in_range(c.n, 1, 2);
        assert_in_range(c.n_nodes, 1, 2);
    }
    char many[9000]; /* longer than what is read of a file */
    for (size_t i = 0; i + 14 < sizeof many; i += 13) {
        memcpy(many + i, "0-2147483647,", 14);
    }
    put(NODE "online", many);
    put(NODE "node700/cpulist", many);
    check(cpus(0, 1), "0:0 1:0");
    put(NODE "online", "0-1023");
    put(NODE "node1/cpulist", "1");
    check(cpus(0, 1), "1:0 0:1");
    char folder[512]; /* a folder where a file should be */
    snprintf(folder, sizeof folder, "%s/" CPU "7/topology/thread_siblings_list", root());
    put_cpu(7, "topology/x", "");
    assert_int_equal(mkdir(folder, 0700), 0);
    check(cpus(7, 7), "7:0");
}

/* The machine that the test runs on. */
static void test_here(void **state) {
    (void)state;
    exaone_cpu_set allowed;
    exaone_cpu_set_allowed(&allowed);
    exaone_cores c;
    exaone_cores_read("", &allowed, &c);
    assert_in_range(c.n, 1, EXAONE_MAX_CPUS);
    for (size_t i = 0; i < c.n; i++) {
        assert_true(exaone_cpu_set_has(&allowed, c.cpu[i]));
    }
    assert_in_range(exaone_cores_threads(&c), 1, 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unknown), cmocka_unit_test(test_hyperthreads),
                                       cmocka_unit_test(test_hybrid),  cmocka_unit_test(test_nodes),
                                       cmocka_unit_test(test_quota),   cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
