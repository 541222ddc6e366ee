/* What `exaone bench` prints: medians, spreads, and how far each is from its wall. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- figures ---- */

static int in_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_median(const double *values, size_t n) {
    double sorted[BENCH_MAX_RUNS];
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, in_order);
    return n == 0 ? 0 : n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double rate_of(const bench_rate *r) {
    return bench_median(r->samples, r->n);
}

/* The highest rate of a kind that the kernels in use may reach. */
static double peak_of(const bench_result *r, exaone_peak_kind kind) {
    double best = 0;
    for (size_t i = 0; i < r->machine.n_peaks; i++) {
        const exaone_peak *p = &r->machine.peaks[i].peak;
        if (p->kind == kind && exaone_bench_peak_within(p, r->cpu_level) && rate_of(&r->machine.peaks[i].rate) > best) {
            best = rate_of(&r->machine.peaks[i].rate);
        }
    }
    return best;
}

static double bandwidth_of(const bench_result *r) {
    double best = 0;
    for (size_t i = 0; i < r->machine.n_bandwidths; i++) {
        best = fmax(best, rate_of(&r->machine.bandwidth[i].rate));
    }
    return best;
}

static void walls(const bench_result *r, const exaone_bench_cost *c, bench_figures *f) {
    double fma = peak_of(r, EXAONE_PEAK_FMA), bf16 = fmax(fma, peak_of(r, EXAONE_PEAK_BF16));
    double int8 = peak_of(r, EXAONE_PEAK_INT8), bandwidth = bandwidth_of(r);
    if (bandwidth > 0 && fma > 0 && int8 > 0) {
        f->memory += (c->weight_bytes + c->kv_bytes) / bandwidth;
        f->compute += c->fma_macs / fma + c->bf16_macs / bf16 + c->int8_macs / int8;
    }
}

/* The same rows without a context, or NULL. */
static const bench_item *without_context(const bench_result *r, const bench_item *item) {
    for (size_t i = 0; i < r->n_items; i++) {
        const bench_item *other = &r->items[i];
        if (other->kind == BENCH_ROWS && other->context == 0 && other->rows == item->rows && other->n > 0) {
            return other;
        }
    }
    return NULL;
}

bench_figures bench_figures_of(const bench_result *r, const bench_item *item) {
    bench_figures f = {0};
    double total[BENCH_MAX_RUNS];
    if (item->n == 0) {
        return f;
    }
    f.low = INFINITY;
    for (size_t i = 0; i < item->n; i++) {
        total[i] = item->layer[i] + item->fixed[i];
        f.low = fmin(f.low, total[i]);
        f.high = fmax(f.high, total[i]);
    }
    f.seconds = bench_median(total, item->n);
    f.scaled = r->layers == r->full_layers
                   ? f.seconds
                   : bench_median(item->layer, item->n) * r->full_layers / r->layers + bench_median(item->fixed, item->n);
    f.rate = item->units ? (double)item->units / f.scaled : 0;
    walls(r, &item->pass.layers, &f);
    walls(r, &item->pass.fixed, &f);
    f.wall = fmax(f.memory, f.compute);
    if (item->kind == BENCH_ROWS && item->context > 0 && item->rows == 1) {
        const bench_item *none = without_context(r, item);
        double bytes = item->pass.layers.kv_bytes - (none ? none->pass.layers.kv_bytes : 0), bandwidth = bandwidth_of(r);
        if (none && bandwidth > 0) {
            f.attention = bench_median(item->layer, item->n) - bench_median(none->layer, none->n);
            f.attention_wall = bytes / bandwidth;
        }
    }
    return f;
}

static const char *kind_name(exaone_peak_kind kind) {
    return kind == EXAONE_PEAK_FMA ? "fma" : kind == EXAONE_PEAK_INT8 ? "int8" : "bf16";
}

static double spread(const bench_figures *f) {
    return f->seconds > 0 ? 50 * (f->high - f->low) / f->seconds : 0;
}

/* ---- table ---- */

static void put_time(char out[24], double seconds) {
    if (seconds <= 0) {
        snprintf(out, 24, "-");
    } else if (seconds < 1e-3) {
        snprintf(out, 24, "%.0f us", seconds * 1e6);
    } else if (seconds < 1) {
        snprintf(out, 24, seconds < 0.1 ? "%.2f ms" : "%.1f ms", seconds * 1e3);
    } else {
        snprintf(out, 24, "%.2f s", seconds);
    }
}

static void put_machine(exaone_buf *b, const bench_result *r) {
    const bench_machine *m = &r->machine;
    exaone_buf_printf(b, "processor  %s, %d thread%s, kernels %s\n", m->processor, m->threads, m->threads > 1 ? "s" : "",
                      r->cpu_level);
    exaone_buf_printf(b, "reading    ");
    for (size_t i = 0; i < m->n_bandwidths; i++) {
        exaone_buf_printf(b, "%s%.1f GB/s with %d", i ? ", " : "", rate_of(&m->bandwidth[i].rate) / 1e9,
                          m->bandwidth[i].threads);
    }
    exaone_buf_puts(b, m->n_bandwidths ? "\n" : "not measured\n");
    for (int kind = EXAONE_PEAK_FMA; kind <= EXAONE_PEAK_BF16; kind++) {
        bool first = true;
        for (size_t i = 0; i < m->n_peaks; i++) {
            if (m->peaks[i].peak.kind == (exaone_peak_kind)kind) {
                exaone_buf_printf(b, first ? "peak %-6s" : ", ", kind_name((exaone_peak_kind)kind));
                exaone_buf_printf(b, "%s %.3g%s", m->peaks[i].peak.name, rate_of(&m->peaks[i].rate) / 1e9,
                                  exaone_bench_peak_within(&m->peaks[i].peak, r->cpu_level) ? ""
                                                                                            : " (kernels do not use it)");
                first = false;
            }
        }
        exaone_buf_puts(b, first ? "" : " G multiply-adds/s\n");
    }
}

static void put_model(exaone_buf *b, const bench_result *r) {
    exaone_buf_printf(b, "model      %s", r->model);
    exaone_buf_printf(b, ", %d layers, keys %s, values %s\n", r->layers, r->cache_k, r->cache_v);
    if (r->synthetic) {
        exaone_buf_printf(b,
                          "           random weights of the 33B's shapes: %.2f GB text, %.2f GB vision; with all %d layers "
                          "%.2f GB and %.2f GB\n",
                          (double)r->size.text_bytes / 1e9, (double)r->size.mmproj_bytes / 1e9, r->full_layers,
                          (double)r->size.text_bytes_64 / 1e9, (double)r->size.mmproj_bytes / 1e9);
    }
    if (r->resident) {
        exaone_buf_printf(b, "memory     %.2f GB resident, %.2f GB of it in huge pages\n", (double)r->resident / 1e9,
                          (double)r->huge / 1e9);
    }
    if (r->layers != r->full_layers) {
        exaone_buf_printf(
            b,
            "           scaled to %d layers: the time of the %d decoder layers counts %g times; output matrix,\n"
            "           draft step, vision tower and loading count as measured\n",
            r->full_layers, r->layers, (double)r->full_layers / r->layers);
    }
    if (r->layers != r->full_layers && r->layers % 4) {
        exaone_buf_printf(
            b,
            "           every 4th layer sees the whole context, of these %d are %d: times behind a context are\n"
            "           only scaled rightly when the number is a multiple of 4\n",
            r->layers, r->layers / 4);
    }
}

static void put_row(exaone_buf *b, const bench_result *r, const bench_item *item) {
    char time[24], scaled[24], wall[24], rate[48] = "", percent[16] = "-";
    if (item->n == 0) {
        exaone_buf_printf(b, "%-30s not measured: %s\n", item->text, item->why_not ? item->why_not : "no time left");
        return;
    }
    bench_figures f = bench_figures_of(r, item);
    put_time(time, f.seconds);
    put_time(scaled, f.scaled);
    put_time(wall, f.wall);
    if (f.rate > 0) {
        snprintf(rate, sizeof rate, f.rate < 10 ? "%.2f %s" : f.rate < 100 ? "%.1f %s" : "%.0f %s", f.rate, item->unit);
    }
    if (f.wall > 0) {
        snprintf(percent, sizeof percent, "%.0f %%", 100 * f.wall / f.seconds);
    }
    exaone_buf_printf(b, "%-30s %4zu %10s %4.0f %%", item->text, item->n, time, spread(&f));
    if (r->layers != r->full_layers) {
        exaone_buf_printf(b, " %10s", scaled);
    }
    exaone_buf_printf(b, " %17s %10s %6s  %s\n", rate, wall, percent,
                      f.wall <= 0             ? ""
                      : f.memory >= f.compute ? "reading"
                                              : "arithmetic");
    if (f.attention_wall > 0 && f.attention > 0) {
        put_time(time, f.attention);
        put_time(wall, f.attention_wall);
        exaone_buf_printf(b, "%-30s %4s %10s %6s", "  of it reading the context", "", time, "");
        if (r->layers != r->full_layers) {
            put_time(scaled, f.attention * r->full_layers / r->layers);
            exaone_buf_printf(b, " %10s", scaled);
        }
        exaone_buf_printf(b, " %17s %10s %4.0f %%  reading\n", "", wall, 100 * f.attention_wall / f.attention);
    }
}

static void put_table(exaone_buf *b, const bench_result *r) {
    put_machine(b, r);
    if (r->n_items == 0) {
        return;
    }
    put_model(b, r);
    exaone_buf_printf(b, "\n%-30s %4s %10s %6s", "", "runs", "median", "spread");
    if (r->layers != r->full_layers) {
        char head[24];
        snprintf(head, sizeof head, "%d layers", r->full_layers);
        exaone_buf_printf(b, " %10s", head);
    }
    exaone_buf_printf(b, " %17s %10s %6s  %s\n", "speed", "wall", "of it", "which");
    for (size_t i = 0; i < r->n_items; i++) {
        put_row(b, r, &r->items[i]);
    }
    exaone_buf_printf(
        b,
        "\nwall: the time that nothing beats on this machine, bytes over the reading speed or multiply-adds over\n"
        "the peak of the kernels in use; of it: wall / median. spread: half of most minus least. %.0f s%s\n",
        r->seconds, r->interrupted ? ", interrupted" : "");
}

/* ---- for programs ---- */

static void put_cost(exaone_buf *b, const char *name, const exaone_bench_cost *c) {
    exaone_buf_printf(b,
                      "\"%s\": {\"weight_bytes\": %.0f, \"kv_bytes\": %.0f, \"int8_macs\": %.0f, \"fma_macs\": %.0f, "
                      "\"bf16_macs\": %.0f}",
                      name, c->weight_bytes, c->kv_bytes, c->int8_macs, c->fma_macs, c->bf16_macs);
}

static void put_item_json(exaone_buf *b, const bench_result *r, const bench_item *item) {
    bench_figures f = bench_figures_of(r, item);
    exaone_buf_printf(b, "{\"name\": \"%s\", \"group\": \"%s\", \"text\": \"%s\", \"runs\": %zu", item->name, item->group,
                      item->text, item->n);
    if (item->kind == BENCH_ROWS) {
        exaone_buf_printf(b, ", \"rows\": %zu, \"context\": %zu", item->rows, item->context);
    }
    if (item->n == 0) {
        exaone_buf_puts(b, ", \"not_measured\": ");
        const char *why = item->why_not ? item->why_not : "no time left";
        exaone_json_put_string(b, why, strlen(why));
        exaone_buf_puts(b, "}");
        return;
    }
    exaone_buf_printf(b, ", \"seconds\": %.9g, \"least\": %.9g, \"most\": %.9g, \"scaled_seconds\": %.9g", f.seconds, f.low,
                      f.high, f.scaled);
    if (f.rate > 0) {
        exaone_buf_printf(b, ", \"rate\": %.9g, \"unit\": \"%s\"", f.rate, item->unit);
    }
    exaone_buf_printf(b, ", \"wall_seconds\": %.9g, \"memory_seconds\": %.9g, \"compute_seconds\": %.9g, \"of_wall\": %.6g",
                      f.wall, f.memory, f.compute, f.wall / f.seconds);
    if (f.attention_wall > 0) {
        exaone_buf_printf(b, ", \"attention_seconds\": %.9g, \"attention_wall_seconds\": %.9g", f.attention,
                          f.attention_wall);
    }
    exaone_buf_puts(b, ", ");
    put_cost(b, "layers", &item->pass.layers);
    exaone_buf_puts(b, ", ");
    put_cost(b, "fixed", &item->pass.fixed);
    exaone_buf_puts(b, ", \"samples\": [");
    for (size_t i = 0; i < item->n; i++) {
        exaone_buf_printf(b, "%s%.9g", i ? ", " : "", item->layer[i] + item->fixed[i]);
    }
    exaone_buf_puts(b, "]}");
}

static void put_json(exaone_buf *b, const bench_result *r) {
    const bench_machine *m = &r->machine;
    exaone_buf_puts(b, "{\"version\": ");
    exaone_json_put_string(b, exaone_version(), strlen(exaone_version()));
    exaone_buf_puts(b, ", \"machine\": {\"processor\": ");
    exaone_json_put_string(b, m->processor, strlen(m->processor));
    exaone_buf_printf(b, ", \"threads\": %d, \"kernels\": \"%s\", \"bandwidth\": [", m->threads, r->cpu_level);
    for (size_t i = 0; i < m->n_bandwidths; i++) {
        exaone_buf_printf(b, "%s{\"threads\": %d, \"bytes_per_second\": %.6g}", i ? ", " : "", m->bandwidth[i].threads,
                          rate_of(&m->bandwidth[i].rate));
    }
    exaone_buf_puts(b, "], \"peaks\": [");
    for (size_t i = 0; i < m->n_peaks; i++) {
        exaone_buf_printf(b, "%s{\"kind\": \"%s\", \"name\": \"%s\", \"macs_per_second\": %.6g, \"used\": %s}",
                          i ? ", " : "", kind_name(m->peaks[i].peak.kind), m->peaks[i].peak.name, rate_of(&m->peaks[i].rate),
                          exaone_bench_peak_within(&m->peaks[i].peak, r->cpu_level) ? "true" : "false");
    }
    exaone_buf_puts(b, "]}, \"model\": {\"path\": ");
    exaone_json_put_string(b, r->model, strlen(r->model));
    exaone_buf_printf(b,
                      ", \"synthetic\": %s, \"layers\": %d, \"scaled_to_layers\": %d, \"cache_type_k\": \"%s\", "
                      "\"cache_type_v\": \"%s\"",
                      r->synthetic ? "true" : "false", r->layers, r->full_layers, r->cache_k, r->cache_v);
    if (r->synthetic) {
        exaone_buf_printf(b, ", \"text_bytes\": %llu, \"mmproj_bytes\": %llu, \"text_bytes_all_layers\": %llu",
                          (unsigned long long)r->size.text_bytes, (unsigned long long)r->size.mmproj_bytes,
                          (unsigned long long)r->size.text_bytes_64);
    }
    exaone_buf_puts(b, "}, \"results\": [");
    for (size_t i = 0; i < r->n_items; i++) {
        exaone_buf_puts(b, i ? ",\n  " : "\n  ");
        put_item_json(b, r, &r->items[i]);
    }
    exaone_buf_printf(b, "], \"resident_bytes\": %llu, \"huge_page_bytes\": %llu", (unsigned long long)r->resident,
                      (unsigned long long)r->huge);
    exaone_buf_printf(b, ", \"seconds\": %.3f, \"interrupted\": %s}\n", r->seconds, r->interrupted ? "true" : "false");
}

static void put_csv(exaone_buf *b, const bench_result *r) {
    exaone_buf_puts(b, "name,runs,seconds,least,most,scaled_seconds,rate,unit,wall_seconds,of_wall\n");
    for (size_t i = 0; i < r->n_items; i++) {
        const bench_item *item = &r->items[i];
        bench_figures f = bench_figures_of(r, item);
        if (item->n == 0) {
            exaone_buf_printf(b, "%s,0,,,,,,,,\n", item->name);
            continue;
        }
        exaone_buf_printf(b, "%s,%zu,%.9g,%.9g,%.9g,%.9g,", item->name, item->n, f.seconds, f.low, f.high, f.scaled);
        if (f.rate > 0) {
            exaone_buf_printf(b, "%.9g,%s,", f.rate, item->unit);
        } else {
            exaone_buf_puts(b, ",,");
        }
        exaone_buf_printf(b, "%.9g,%.6g\n", f.wall, f.wall / f.seconds);
    }
}

bool bench_report(const bench_result *r, bench_format format) {
    exaone_buf b;
    exaone_buf_init(&b, 16 << 20);
    if (format == BENCH_TABLE) {
        put_table(&b, r);
    } else if (format == BENCH_JSON) {
        put_json(&b, r);
    } else {
        put_csv(&b, r);
    }
    bool ok = b.data && cli_write(b.data, b.len);
    exaone_buf_release(&b);
    return ok;
}
