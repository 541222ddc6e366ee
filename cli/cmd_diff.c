/* `exaone diff`: two weight files tensor by tensor, and what both models predict on a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "corpus.h"

enum { NAME_ROOM = 256, NAME_WIDTH = 34, SHAPE_ROOM = 200 };

typedef struct {
    cli_model_options model; /* of B too */
    const char *mmproj_a, *mmproj_b, *imatrix, *text;
    int64_t chunk, max_chunks;
    bool sort, json, no_tensors, parse_special;
    const char *a, *b; /* paths */
} diff_options;

/* A tensor that is shown later. */
typedef struct {
    exaone_diff_tensor t;
    char name[NAME_ROOM];
} shown;

typedef struct {
    const diff_options *o;
    shown *lines;  /* [n]: kept for --sort and --json */
    size_t n, cap; /* n: also lines printed at once */
    bool starved, weighted;
    exaone_diff_report report;
    bool has_summary;
    exaone_diff_summary summary;
    size_t n_tokens, chunk;
} comparison;

static bool show(void) {
    return isatty(STDERR_FILENO);
}

/* ---- output ---- */

static const char *type_name(exaone_dtype type) {
    return type == EXAONE_DTYPE_COUNT ? "-" : exaone_dtype_name(type);
}

static const char *shape(const uint64_t *dims, size_t n, char out[SHAPE_ROOM]) {
    size_t at = (size_t)snprintf(out, SHAPE_ROOM, "[");
    for (size_t i = 0; i < n && at + 24 < SHAPE_ROOM; i++) {
        at += (size_t)snprintf(out + at, SHAPE_ROOM - at, "%s%llu", i ? ", " : "", (unsigned long long)dims[i]);
    }
    snprintf(out + at, SHAPE_ROOM - at, "]");
    return out;
}

static void print_head(const comparison *c) {
    printf("%-*s %-8s %-8s %10s %10s%s\n", NAME_WIDTH, "tensor", "A", "B", "relative", "max abs",
           c->weighted ? "   weighted" : "");
}

static void print_line(const comparison *c, const exaone_diff_tensor *t, const char *name) {
    char a[SHAPE_ROOM], b[SHAPE_ROOM];
    printf("%-*s %-8s %-8s", NAME_WIDTH, name, type_name(t->type_a), type_name(t->type_b));
    switch (t->kind) {
    case EXAONE_DIFF_COMPARED:
        printf(" %10.4g %10.4g", t->relative, t->max_abs);
        if (c->weighted && t->weighted >= 0) {
            printf(" %10.4g", t->weighted);
        }
        if (t->not_finite) {
            printf("  %llu elements differ in NaN or infinity", (unsigned long long)t->not_finite);
        }
        break;
    case EXAONE_DIFF_ONLY_A:
        printf(" only in A");
        break;
    case EXAONE_DIFF_ONLY_B:
        printf(" only in B");
        break;
    case EXAONE_DIFF_SHAPE:
        printf(" error: A has the shape %s, B has %s", shape(t->dims_a, t->n_dims_a, a), shape(t->dims_b, t->n_dims_b, b));
        break;
    case EXAONE_DIFF_TYPE:
        printf(" not compared: a type that is not read as numbers");
        break;
    }
    putchar('\n');
}

static void put_number(exaone_buf *b, const char *key, double value) {
    exaone_buf_printf(b, isfinite(value) ? ", \"%s\": %.9g" : ", \"%s\": null", key, value);
}

static void put_shape(exaone_buf *b, const char *key, const uint64_t *dims, size_t n) {
    char text[SHAPE_ROOM];
    exaone_buf_printf(b, ", \"%s\": %s", key, shape(dims, n, text));
}

static void put_tensor(exaone_buf *b, const shown *l) {
    static const char *const kinds[] = {"compared", "only_a", "only_b", "shape", "type"};
    const exaone_diff_tensor *t = &l->t;
    exaone_buf_puts(b, "{\"name\": ");
    exaone_json_put_string(b, l->name, strlen(l->name));
    exaone_buf_printf(b, ", \"status\": \"%s\"", kinds[t->kind]);
    if (t->type_a != EXAONE_DTYPE_COUNT) {
        exaone_buf_printf(b, ", \"type_a\": \"%s\", \"bytes_a\": %llu", exaone_dtype_name(t->type_a),
                          (unsigned long long)t->bytes_a);
        put_shape(b, "shape_a", t->dims_a, t->n_dims_a);
    }
    if (t->type_b != EXAONE_DTYPE_COUNT) {
        exaone_buf_printf(b, ", \"type_b\": \"%s\", \"bytes_b\": %llu", exaone_dtype_name(t->type_b),
                          (unsigned long long)t->bytes_b);
        put_shape(b, "shape_b", t->dims_b, t->n_dims_b);
    }
    if (t->kind == EXAONE_DIFF_COMPARED) {
        put_number(b, "relative", t->relative);
        put_number(b, "max_abs", t->max_abs);
        if (t->weighted >= 0) {
            put_number(b, "weighted", t->weighted);
        }
        exaone_buf_printf(b, ", \"not_finite\": %llu", (unsigned long long)t->not_finite);
    }
    exaone_buf_puts(b, "}");
}

static void put_summary(exaone_buf *b, const comparison *c) {
    const exaone_diff_report *r = &c->report;
    exaone_buf_printf(b, "\"summary\": {\"compared\": %zu, \"equal\": %zu, \"only_a\": %zu, \"only_b\": %zu", r->n_compared,
                      r->n_equal, r->n_only_a, r->n_only_b);
    exaone_buf_printf(b, ", \"shape\": %zu, \"type\": %zu, \"elements\": %llu, \"bytes_a\": %llu, \"bytes_b\": %llu",
                      r->n_shape, r->n_type, (unsigned long long)r->elements, (unsigned long long)r->bytes_a,
                      (unsigned long long)r->bytes_b);
    put_number(b, "relative", r->relative);
    put_number(b, "max_abs", r->max_abs);
    if (r->weighted >= 0) {
        put_number(b, "weighted", r->weighted);
    }
    exaone_buf_puts(b, "}");
}

static int print_json(const comparison *c) {
    exaone_buf b;
    exaone_buf_init(&b, CLI_MAX_CORPUS);
    exaone_buf_puts(&b, "{");
    if (!c->o->no_tensors) {
        exaone_buf_puts(&b, "\"tensors\": [");
        for (size_t i = 0; i < c->n; i++) {
            exaone_buf_puts(&b, i ? ",\n  " : "\n  ");
            put_tensor(&b, &c->lines[i]);
        }
        exaone_buf_puts(&b, "\n], ");
        put_summary(&b, c);
    }
    if (c->has_summary) {
        const exaone_diff_summary *s = &c->summary;
        exaone_buf_printf(&b, "%s\"text\": {\"tokens\": %zu, \"places\": %zu, \"chunk\": %zu", c->o->no_tensors ? "" : ", ",
                          c->n_tokens, s->n, c->chunk);
        put_number(&b, "kl_mean", s->kl_mean);
        put_number(&b, "kl_median", s->kl_median);
        put_number(&b, "kl_99", s->kl_99);
        put_number(&b, "kl_max", s->kl_max);
        put_number(&b, "top1", s->top1);
        put_number(&b, "perplexity_a", s->perplexity_a);
        put_number(&b, "perplexity_b", s->perplexity_b);
        put_number(&b, "perplexity_ratio", s->perplexity_b / s->perplexity_a);
        exaone_buf_puts(&b, "}");
    }
    exaone_buf_puts(&b, "}\n");
    exaone_error err = {0};
    exaone_status s = exaone_buf_check(&b, "the report", &err);
    if (s == EXAONE_OK) {
        fwrite(b.data, 1, b.len, stdout);
    }
    exaone_buf_release(&b);
    return s == EXAONE_OK ? CLI_OK : cli_fail(&err);
}

static void print_summary(const comparison *c) {
    const exaone_diff_report *r = &c->report;
    printf("%zu tensors compared, %zu of them equal: relative error %.4g, largest difference %.4g", r->n_compared,
           r->n_equal, r->relative, r->max_abs);
    if (r->weighted >= 0) {
        printf(", weighted %.4g", r->weighted);
    }
    printf("\n%.1f MB in A, %.1f MB in B; only in A %zu, only in B %zu, other shape %zu, other type %zu\n",
           (double)r->bytes_a / 1e6, (double)r->bytes_b / 1e6, r->n_only_a, r->n_only_b, r->n_shape, r->n_type);
}

static void print_text(const comparison *c) {
    const exaone_diff_summary *s = &c->summary;
    printf("text: %zu tokens in chunks of %zu\n", c->n_tokens, c->chunk);
    printf("KL divergence: mean %.6f, median %.6f, 99 %% %.6f, largest %.6f\n", s->kl_mean, s->kl_median, s->kl_99,
           s->kl_max);
    printf("same top token: %.3f %% of %zu places\n", 100 * s->top1, s->n);
    printf("perplexity: A %.4f, B %.4f, ratio %.5f\n", s->perplexity_a, s->perplexity_b, s->perplexity_b / s->perplexity_a);
}

/* ---- tensors ---- */

static bool keep(comparison *c, const exaone_diff_tensor *t) {
    shown *more = exaone_mem_grow(c->lines, c->n, &c->cap, sizeof *more);
    if (!more) {
        c->starved = true;
        return false;
    }
    c->lines = more;
    shown *l = &c->lines[c->n++];
    l->t = *t;
    snprintf(l->name, sizeof l->name, "%s", t->name);
    return true;
}

static bool on_tensor(void *ctx, const exaone_diff_tensor *t) {
    comparison *c = ctx;
    if (c->o->sort || c->o->json) {
        return keep(c, t);
    }
    cli_progress_clear(show());
    if (c->n++ == 0) {
        print_head(c);
    }
    print_line(c, t, t->name);
    return !cli_interrupted;
}

static bool on_progress(void *ctx, const char *tensor, uint64_t done, uint64_t total) {
    (void)ctx;
    cli_progress(show(), "%3.0f %% %.60s", total ? 100 * (double)done / (double)total : 100.0, tensor);
    return !cli_interrupted;
}

/* What was not compared first, then the largest errors. */
static int by_error(const void *a, const void *b) {
    const shown *x = a, *y = b;
    bool x_compared = x->t.kind == EXAONE_DIFF_COMPARED, y_compared = y->t.kind == EXAONE_DIFF_COMPARED;
    if (x_compared != y_compared) {
        return x_compared ? 1 : -1;
    }
    if (x->t.relative != y->t.relative) {
        return x->t.relative > y->t.relative ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static exaone_status compare_tensors(comparison *c, exaone_error *err) {
    const diff_options *o = c->o;
    exaone_imatrix *im = NULL;
    exaone_status s = o->imatrix ? exaone_imatrix_open(o->imatrix, &im, err) : EXAONE_OK;
    exaone_diff_options options = {.mmproj_a = o->mmproj_a,
                                   .mmproj_b = o->mmproj_b,
                                   .imatrix = im,
                                   .threads = (int)o->model.threads,
                                   .tensor = on_tensor,
                                   .progress = on_progress,
                                   .ctx = c};
    c->weighted = im;
    if (s == EXAONE_OK) {
        s = exaone_diff_weights(o->a, o->b, &options, &c->report, err);
    }
    cli_progress_clear(show());
    exaone_imatrix_close(im);
    if (s == EXAONE_OK && o->sort && c->n > 1) {
        qsort(c->lines, c->n, sizeof *c->lines, by_error);
    }
    if (s == EXAONE_OK && o->sort && !o->json) {
        print_head(c);
        for (size_t i = 0; i < c->n; i++) {
            print_line(c, &c->lines[i].t, c->lines[i].name);
        }
    }
    if (s == EXAONE_OK && !o->json) {
        print_summary(c);
    }
    return s;
}

/* ---- text ---- */

typedef struct {
    exaone_engine *a, *b;
    cli_text text;
    exaone_diff_token *tokens; /* [n_ids] */
    int32_t *next;             /* [chunk] */
    size_t n;
} text_run;

static exaone_status compare_chunk(text_run *r, size_t i, exaone_error *err) {
    size_t n, vocab = (size_t)exaone_engine_info(r->a)->vocab_size;
    const int32_t *ids = cli_text_chunk(&r->text, i, &n);
    exaone_tensors *a = NULL, *b = NULL;
    const exaone_forward_options options = {.stages = "logits"};
    exaone_status s = cli_forward_ids(r->a, ids, n, false, &options, &a, err);
    if (s == EXAONE_OK) {
        s = cli_forward_ids(r->b, ids, n, false, &options, &b, err);
    }
    if (s == EXAONE_OK) {
        for (size_t k = 0; k < n; k++) {
            r->next[k] = k + 1 < n ? ids[k + 1] : -1;
        }
        s = exaone_diff_logits(exaone_tensors_get(a, "logits")->data, exaone_tensors_get(b, "logits")->data, n, vocab,
                               r->next, exaone_engine_parallel(r->a), r->tokens + r->n, err);
        r->n += n;
    }
    exaone_tensors_free(a);
    exaone_tensors_free(b);
    return s;
}

/* Both tokenizers must read the text alike, or the places would not be the same. */
static exaone_status same_ids(text_run *r, const diff_options *o, exaone_error *err) {
    int vocab_a = exaone_engine_info(r->a)->vocab_size, vocab_b = exaone_engine_info(r->b)->vocab_size;
    if (vocab_a != vocab_b) {
        err->code = EXAONE_ERR_ARGUMENT;
        snprintf(err->message, sizeof err->message,
                 "A has a vocabulary of %d tokens, B of %d: their predictions differ in kind", vocab_a, vocab_b);
        return err->code;
    }
    cli_text other = {0};
    bool skip = cli_input_is_stream(o->text) || !exaone_engine_tokenizer(r->b); /* a pipe cannot be read twice */
    exaone_status s = skip ? EXAONE_OK : cli_text_read(&other, o->text, r->b, o->chunk, o->parse_special, err);
    if (s == EXAONE_OK && !skip &&
        (other.n_ids != r->text.n_ids || memcmp(other.ids, r->text.ids, other.n_ids * sizeof *other.ids) != 0)) {
        err->code = s = EXAONE_ERR_ARGUMENT;
        snprintf(err->message, sizeof err->message, "the tokenizers differ: A cuts %.200s into %zu tokens, B into %zu",
                 o->text, r->text.n_ids, other.n_ids);
    }
    cli_text_release(&other);
    return s;
}

static exaone_status run_text(comparison *c, text_run *r, exaone_error *err) {
    const diff_options *o = c->o;
    exaone_status s = cli_text_read(&r->text, o->text, r->a, o->chunk, o->parse_special, err);
    if (s == EXAONE_OK) {
        s = same_ids(r, o, err);
    }
    size_t n_chunks = s == EXAONE_OK ? cli_text_chunks(&r->text) : 0;
    if (o->max_chunks && n_chunks > (size_t)o->max_chunks) {
        n_chunks = (size_t)o->max_chunks;
    }
    r->tokens = exaone_mem_array(n_chunks * r->text.chunk, sizeof *r->tokens);
    r->next = exaone_mem_array(r->text.chunk, sizeof *r->next);
    if (s == EXAONE_OK && (!r->tokens || !r->next)) {
        s = EXAONE_ERR_MEMORY;
        err->code = s;
    }
    for (size_t i = 0; i < n_chunks && s == EXAONE_OK && !cli_interrupted; i++) {
        cli_progress(show(), "%s: chunk %zu of %zu", o->text, i + 1, n_chunks);
        s = compare_chunk(r, i, err);
    }
    cli_progress_clear(show());
    if (s == EXAONE_OK) {
        c->summary = exaone_diff_summarize(r->tokens, r->n);
        c->has_summary = true;
        c->n_tokens = r->n;
        c->chunk = r->text.chunk;
    }
    return s;
}

/* An exit code; with CLI_OK the summary is there. */
static int compare_text(comparison *c) {
    cli_model_options model = c->o->model;
    text_run r = {0};
    exaone_error err = {0};
    int code = CLI_FAILED;
    model.model = c->o->a;
    model.mmproj = c->o->mmproj_a;
    r.a = cli_open_engine(&model, false);
    model.model = c->o->b;
    model.mmproj = c->o->mmproj_b;
    r.b = r.a ? cli_open_engine(&model, true) : NULL; /* A reads the text */
    if (r.b) {
        exaone_status s = run_text(c, &r, &err);
        code = s == EXAONE_OK ? CLI_OK : cli_fail(&err);
    }
    exaone_engine_close(r.a);
    exaone_engine_close(r.b);
    cli_text_release(&r.text);
    free(r.tokens);
    free(r.next);
    return code;
}

static int compare(const diff_options *o) {
    comparison c = {.o = o};
    exaone_error err = {0};
    int code = CLI_OK;
    if (!o->no_tensors) {
        exaone_status s = compare_tensors(&c, &err);
        if (cli_interrupted) {
            code = cli_interrupt_code();
        } else if (c.starved || s != EXAONE_OK) {
            err.code = c.starved ? EXAONE_ERR_MEMORY : s;
            err.message[0] = c.starved ? 0 : err.message[0];
            code = cli_fail(&err);
        }
    }
    if (code == CLI_OK && o->text) {
        code = compare_text(&c);
        code = cli_interrupted ? cli_interrupt_code() : code;
    }
    if (code == CLI_OK && o->json) {
        code = print_json(&c);
    } else if (code == CLI_OK && c.has_summary) {
        print_text(&c);
    }
    if (code == CLI_OK && !o->no_tensors && (c.report.n_shape || !c.report.n_compared)) {
        cli_note("%zu tensors have another shape in B, %zu were compared", c.report.n_shape, c.report.n_compared);
        code = CLI_FAILED;
    }
    free(c.lines);
    return code;
}

/* Paths of both words; the first may stay in the buffer of cli_model_path. */
static int resolve_and_compare(diff_options *o, const cli_command_line *line) {
    bool built_in;
    const char *path = cli_model_path(line->words[0], &built_in);
    char *a = path ? exaone_mem_string(path, strlen(path)) : NULL;
    int code = CLI_FAILED;
    o->a = a;
    o->b = a ? cli_model_path(line->words[1], &built_in) : NULL;
    char *b = o->b ? exaone_mem_string(o->b, strlen(o->b)) : NULL;
    o->b = b;
    if (a && b) {
        code = compare(o);
    }
    free(a);
    free(b);
    return code;
}

int cmd_diff(int argc, char **argv) {
    diff_options o = {0};
    const cli_option options[] = {
        {"--imatrix", NULL, OPT_TEXT, &o.imatrix, 0, 0, "FILE", "importance matrix: show errors weighted with it too"},
        {"--sort", NULL, OPT_FLAG, &o.sort, 0, 0, NULL, "largest errors first (default: in A's order)"},
        {"--text", NULL, OPT_TEXT, &o.text, 0, 0, "FILE", "compare what both predict on this text"},
        {"--no-tensors", NULL, OPT_FLAG, &o.no_tensors, 0, 0, NULL, "only the text"},
        {"--ctx", "-c", OPT_INT, &o.chunk, 2, 1 << 30, "N", "tokens per chunk of the text (default 512)"},
        {"--chunks", NULL, OPT_INT, &o.max_chunks, 1, 1 << 30, "N", "the first N chunks of the text"},
        {"--parse-special", NULL, OPT_FLAG, &o.parse_special, 0, 0, NULL, "control tokens in the text count as such"},
        {"--json", NULL, OPT_FLAG, &o.json, 0, 0, NULL, "one JSON object"},
        {"--mmproj-a", NULL, OPT_TEXT, &o.mmproj_a, 0, 0, "FILE", "vision tower of A (default: the one beside it)"},
        {"--mmproj-b", NULL, OPT_TEXT, &o.mmproj_b, 0, 0, "FILE", "vision tower of B (default: the one beside it)"},
        {"--cpu", NULL, OPT_TEXT, &o.model.cpu, 0, 0, "LEVEL",
         "kernels for --text: scalar, avx2, avx-vnni, avx512, avx512-vnni, amx (default: the best)"},
        {"--precision", NULL, OPT_TEXT, &o.model.precision, 0, 0, "P", "for --text: auto (8-bit activations) or f32"},
        {"--threads", "-t", OPT_INT, &o.model.threads, 1, 512, "N", "threads (default: one per fast core)"},
    };
    cli_command_line line;
    int code = cli_options_parse("diff", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0 && line.n_words != 2) {
        code = cli_usage("diff", "want two models, got %zu words", line.n_words);
    }
    if (code < 0 && o.no_tensors && !o.text) {
        code = cli_usage("diff", "--no-tensors without --text leaves nothing to compare");
    }
    if (code < 0) {
        code = cli_model_check("diff", &o.model);
    }
    if (code < 0) {
        cli_catch_interrupt();
        code = resolve_and_compare(&o, &line);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
