/* Checks and times every kernel of the CPU table by itself (src/cpu/kernels/kernels.h).
 *
 *   build/bench/kernels [--check] [--time] [--level LEVEL] [--only NAME] [--seconds S] [--json]
 *
 * A check runs in a process of its own, on memory between pages that nobody may touch: a kernel that reads or writes beside
 * its data is reported by name, like one with a wrong result. A level is checked and timed for the kernels that it brings;
 * with --level for all that it uses. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "checks/checks.h"
#include "checks/speed.h"
#include "checks/zone.h"
#include "exaone/bench.h"

static const char HELP[] =
    "Usage: kernels [OPTION]...\n"
    "Check every kernel of the CPU against its definition, and time it with one thread on data in the cache.\n"
    "\n"
    "  --check        check only\n"
    "  --time         time only\n"
    "  --level LEVEL  all kernels of this level; default: every level of this machine, each with what it brings\n"
    "  --only NAME    kernels whose name holds NAME\n"
    "  --seconds S    seconds per measurement (0.02)\n"
    "  --json         results as JSON\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0 all checks passed, 1 a check failed, 2 wrong usage.\n";

typedef struct entry {
    const char *name;
    size_t at, size;
} entry;

static const entry ENTRIES[] = {
#define K(name, result, args) {#name, offsetof(exaone_kernels, name), sizeof((exaone_kernels *)NULL)->name},
    EXAONE_KERNELS(K) EXAONE_KERNELS_Q8(K) EXAONE_KERNELS_SCALED(K) EXAONE_KERNELS_CACHED(K) EXAONE_KERNELS_TILES(K)
        EXAONE_KERNELS_CHAINS(K) EXAONE_KERNELS_PLANES(K)
    /* arrays and pointers beside the lists */
    K(unpack, , ) K(unpack_tile, , ) K(unpack_tile_i4, , ) K(one_row, , )
#undef K
};
enum { N_ENTRIES = sizeof ENTRIES / sizeof *ENTRIES };

static const struct {
    const char *name;
    void (*run)(const exaone_kernels *k);
} CHECKS[] = {
#define C(name) {#name, check_##name},
    BENCH_CHECKS(C)
#undef C
};
enum { N_CHECKS = sizeof CHECKS / sizeof *CHECKS, MOST_PEAKS = 16, MOST_LEVELS = 16 };

typedef struct program {
    bool check, time, json;
    const char *level, *only;
    double seconds;
    check_report *report; /* shared with the process of a check */
    exaone_buf out;       /* --json: what is printed in the end */
    size_t failed, items; /* items: of the list being written */
    struct {
        exaone_peak peak;
        double rate;
    } peaks[MOST_PEAKS];
    size_t n_peaks;
    double reading;
    /* of the level at work */
    const char *at;
    exaone_kernels table, below;
} program;

/* ---- which ---- */

static const uint8_t *bytes_of(const exaone_kernels *k, const entry *e) {
    return (const uint8_t *)k + e->at;
}

/* Whether the level has the entry, and brings it when all levels are asked for. */
static bool brings(const program *p, const entry *e) {
    static const exaone_kernels none;
    return memcmp(bytes_of(&p->table, e), bytes_of(&none, e), e->size) != 0 &&
           (p->level || memcmp(bytes_of(&p->table, e), bytes_of(&p->below, e), e->size) != 0);
}

static bool wanted(void *ctx, const char *kernel) {
    const program *p = ctx;
    for (size_t i = 0; i < N_ENTRIES; i++) {
        if (strcmp(ENTRIES[i].name, kernel) == 0) {
            return brings(p, &ENTRIES[i]) && (!p->only || strstr(kernel, p->only));
        }
    }
    return false;
}

/* ---- checks ---- */

static void put_field(exaone_buf *out, const char *name, const char *value) {
    exaone_buf_puts(out, ", ");
    exaone_json_put_string(out, name, strlen(name));
    exaone_buf_puts(out, ": ");
    exaone_json_put_string(out, value, strlen(value));
}

static void begin_item(program *p) {
    exaone_buf_puts(&p->out, p->items++ ? ",\n  {" : "\n  {");
    exaone_buf_puts(&p->out, "\"level\": ");
    exaone_json_put_string(&p->out, p->at, strlen(p->at));
}

static void tell_check(program *p, const char *name, const char *fault) {
    p->failed += fault != NULL;
    if (p->json) {
        begin_item(p);
        put_field(&p->out, "kernel", name);
        exaone_buf_printf(&p->out, ", \"cases\": %zu, \"ok\": %s", p->report->cases, fault ? "false" : "true");
        if (fault) {
            put_field(&p->out, "case", p->report->doing);
            put_field(&p->out, "fault", fault);
        }
        exaone_buf_puts(&p->out, "}");
    } else if (fault) {
        printf("not ok %s %s: %s: %s\n", p->at, name, p->report->doing, fault);
    } else {
        printf("ok %s %s, %zu cases\n", p->at, name, p->report->cases);
    }
    fflush(stdout);
}

static void run_check(program *p, size_t i) {
    char fault[300];
    int status = 0;
    memset(p->report, 0, sizeof *p->report);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        zone_open(p->report);
        CHECKS[i].run(&p->table);
        p->report->done = true;
        _exit(0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && p->report->done) {
        tell_check(p, CHECKS[i].name, NULL);
        return;
    }
    int by = child > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    snprintf(fault, sizeof fault, "%s",
             child < 0                       ? "no process could be started"
             : *p->report->failed            ? p->report->failed
             : by == SIGSEGV || by == SIGBUS ? "it reads or writes outside its memory"
                                             : "the process ended in the middle");
    tell_check(p, CHECKS[i].name, fault);
}

/* Every entry of the table has a check, and every function in the table is of an entry. */
static void check_table(program *p) {
    uint8_t seen[sizeof(exaone_kernels)] = {0}, table[sizeof(exaone_kernels)];
    const char *fault = NULL;
    exaone_kernels none;
    memset(p->report, 0, sizeof *p->report);
    /* numbers, and what belongs around dot_tiles: checks use them */
    memset(seen + offsetof(exaone_kernels, tiles_begin), 1, sizeof p->table.tiles_begin);
    memset(seen + offsetof(exaone_kernels, tiles_end), 1, sizeof p->table.tiles_end);
    memset(seen + offsetof(exaone_kernels, tile_offset), 1, sizeof p->table.tile_offset);
    memset(seen + offsetof(exaone_kernels, tile_bits), 1, sizeof p->table.tile_bits);
    memset(seen + offsetof(exaone_kernels, tile_start), 1, sizeof p->table.tile_start);
    for (size_t i = 0; i < N_ENTRIES; i++) {
        size_t c = 0;
        memset(seen + ENTRIES[i].at, 1, ENTRIES[i].size);
        while (c < N_CHECKS && strcmp(CHECKS[c].name, ENTRIES[i].name) != 0) {
            c++;
        }
        p->report->cases++;
        if (c == N_CHECKS) {
            snprintf(p->report->doing, sizeof p->report->doing, "%s", ENTRIES[i].name);
            fault = "an entry without a check";
        }
    }
    memcpy(table, &p->table, sizeof table);
    for (size_t i = 0; i < sizeof table && !fault; i++) {
        if (table[i] && !seen[i]) {
            snprintf(p->report->doing, sizeof p->report->doing, "byte %zu", i);
            fault = "it belongs to no entry that is known here";
        }
    }
    if (exaone_kernels_init(&none, "no level") || !exaone_kernels_init(&none, NULL)) {
        fault = "a level that there is not has a table, or no level at all has none";
    }
    tell_check(p, "table", fault);
}

static void check_level(program *p) {
    if (!p->only) {
        check_table(p);
    }
    for (size_t i = 0; i < N_CHECKS; i++) {
        if (wanted(p, CHECKS[i].name)) {
            run_check(p, i);
        }
    }
}

/* ---- speed ---- */

static exaone_status measure_machine(program *p, exaone_error *err) {
    exaone_status status = exaone_bench_bandwidth((size_t)256 << 20, 1, 10 * p->seconds, &p->reading, err);
    while (status == EXAONE_OK && p->n_peaks < MOST_PEAKS && exaone_bench_peak(p->n_peaks, &p->peaks[p->n_peaks].peak)) {
        status = exaone_bench_peak_run(p->n_peaks, 1, 3 * p->seconds, &p->peaks[p->n_peaks].rate, err);
        p->n_peaks++;
    }
    return status;
}

/* Speed of what a kernel is held against. Sums of bf16 products may also be made by f32 arithmetic. */
static double wall_of(const program *p, speed_wall wall, const char **name) {
    static const char *const names[] = {"f32 peak", "bf16 peak", "int8 peak", "reading"};
    double best = wall == SPEED_READING ? p->reading : 0;
    *name = names[wall];
    for (size_t i = 0; i < p->n_peaks && wall != SPEED_READING; i++) {
        exaone_peak_kind kind = p->peaks[i].peak.kind;
        bool counts = kind == EXAONE_PEAK_INT8 ? wall == SPEED_INT8
                                               : wall == SPEED_BF16 || (wall == SPEED_FMA && kind == EXAONE_PEAK_FMA);
        if (counts && exaone_bench_peak_within(&p->peaks[i].peak, p->at) && p->peaks[i].rate > best) {
            best = p->peaks[i].rate;
        }
    }
    return best;
}

static void tell_speed(void *ctx, const speed *s) {
    program *p = ctx;
    const char *name;
    double part = s->rate / wall_of(p, s->wall, &name);
    if (p->json) {
        begin_item(p);
        put_field(&p->out, "kernel", s->kernel);
        put_field(&p->out, "form", s->form);
        exaone_buf_puts(&p->out, s->wall == SPEED_READING ? ", \"bytes_per_second\": " : ", \"macs_per_second\": ");
        exaone_json_put_double(&p->out, s->rate);
        put_field(&p->out, "of", name);
        exaone_buf_puts(&p->out, ", \"part\": ");
        exaone_json_put_double(&p->out, part);
        exaone_buf_puts(&p->out, "}");
        return;
    }
    printf("%-12s %-16s %-30s %9.2f %-6s %6.0f %% of %s\n", p->at, s->kernel, s->form, s->rate / 1e9,
           s->wall == SPEED_READING ? "GB/s" : "GMAC/s", 100 * part, name);
    fflush(stdout);
}

static bool time_level(program *p) {
    if (!speed_run(&p->table, wanted, p->seconds, tell_speed, p)) {
        fprintf(stderr, "kernels: not enough memory to time anything\n");
        return false;
    }
    return true;
}

static void tell_machine(program *p) {
    if (!p->json) {
        printf("one thread: reading %.1f GB/s", p->reading / 1e9);
    } else {
        exaone_buf_puts(&p->out, ",\n \"bytes_per_second\": ");
        exaone_json_put_double(&p->out, p->reading);
        exaone_buf_puts(&p->out, ", \"peaks\": [");
    }
    for (size_t i = 0; i < p->n_peaks; i++) {
        static const char *const kinds[] = {"f32", "int8", "bf16"};
        const exaone_peak *peak = &p->peaks[i].peak;
        if (p->json) {
            exaone_buf_printf(&p->out, "%s\n  {\"kind\": \"%s\"", i ? "," : "", kinds[peak->kind]);
            put_field(&p->out, "name", peak->name);
            put_field(&p->out, "level", peak->level);
            exaone_buf_puts(&p->out, ", \"macs_per_second\": ");
            exaone_json_put_double(&p->out, p->peaks[i].rate);
            exaone_buf_puts(&p->out, "}");
        } else {
            printf("%s %s %s %.0f", i ? "," : "; GMAC/s:", kinds[peak->kind], peak->name, p->peaks[i].rate / 1e9);
        }
    }
    if (p->json) {
        exaone_buf_puts(&p->out, "]");
    } else {
        printf("\n\n");
    }
}

/* ---- all ---- */

/* Calls fn with the table of every level that is asked for. */
static bool each_level(program *p, bool (*fn)(program *p)) {
    memset(&p->below, 0, sizeof p->below);
    for (size_t rung = 0; (p->at = exaone_kernels_level(rung)); rung++) {
        if (!p->level || strcmp(p->level, p->at) == 0) {
            exaone_kernels_init(&p->table, p->at);
            if (!fn(p)) {
                return false;
            }
            p->below = p->table;
        }
    }
    return true;
}

static bool check_each(program *p) {
    check_level(p);
    return true;
}

static int run(program *p) {
    exaone_error err = {0};
    bool ok = true;
    if (p->json) {
        exaone_buf_puts(&p->out, "{\"checks\": [");
    }
    if (p->check) {
        each_level(p, check_each);
    }
    if (p->json) {
        exaone_buf_puts(&p->out, "]");
    }
    if (p->time) {
        if (measure_machine(p, &err) != EXAONE_OK) {
            fprintf(stderr, "kernels: %s\n", err.message);
            return 1;
        }
        tell_machine(p);
        p->items = 0;
        if (p->json) {
            exaone_buf_puts(&p->out, ",\n \"times\": [");
        }
        ok = each_level(p, time_level);
        if (p->json) {
            exaone_buf_puts(&p->out, "]");
        }
    }
    if (p->json) {
        exaone_buf_puts(&p->out, "}\n");
        ok = ok && !p->out.failed && fwrite(p->out.data, 1, p->out.len, stdout) == p->out.len;
    }
    return ok && p->failed == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int usage(const char *what, const char *value) {
    fprintf(stderr, "kernels: %s%s%s (kernels --help shows the options)\n", what, value ? " " : "", value ? value : "");
    return 2;
}

int main(int argc, char **argv) {
    program p = {.seconds = 0.02};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes = !strcmp(option, "--level") || !strcmp(option, "--only") || !strcmp(option, "--seconds");
        if (takes && !value) {
            return usage("a value is missing behind", option);
        }
        i += takes;
        if (!strcmp(option, "--help")) {
            fputs(HELP, stdout);
            return 0;
        } else if (!strcmp(option, "--check")) {
            p.check = true;
        } else if (!strcmp(option, "--time")) {
            p.time = true;
        } else if (!strcmp(option, "--json")) {
            p.json = true;
        } else if (!strcmp(option, "--level")) {
            p.level = value;
        } else if (!strcmp(option, "--only")) {
            p.only = value;
        } else if (!strcmp(option, "--seconds")) {
            char *end;
            p.seconds = strtod(value, &end);
            if (*end || !(p.seconds >= 0.001 && p.seconds <= 10)) {
                return usage("--seconds is a number from 0.001 to 10, not", value);
            }
        } else {
            return usage("unknown option", option);
        }
    }
    if (!p.check && !p.time) {
        p.check = p.time = true;
    }
    bool known = !p.level, named = !p.only;
    const char *level;
    for (size_t rung = 0; p.level && (level = exaone_kernels_level(rung)); rung++) {
        known = known || strcmp(level, p.level) == 0;
    }
    for (size_t i = 0; p.only && i < N_ENTRIES; i++) {
        named = named || strstr(ENTRIES[i].name, p.only);
    }
    if (!known || !named) {
        return known ? usage("no kernel has in its name", p.only) : usage("this machine has no level", p.level);
    }
    exaone_buf_init(&p.out, (size_t)64 << 20);
    p.report = mmap(NULL, sizeof *p.report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.report == MAP_FAILED) {
        fprintf(stderr, "kernels: no memory\n");
        return 1;
    }
    int status = run(&p);
    exaone_buf_release(&p.out);
    munmap(p.report, sizeof *p.report);
    return status;
}
