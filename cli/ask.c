/* One question to the model: see ask.h. */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void ask_result_release(ask_result *r) {
    free(r->ids);
    exaone_reply_free(r->reply);
    *r = (ask_result){0};
}

/* ---- media ---- */

/* The path as it is, or inside settings->base. free() it. */
static char *place(const ask_settings *s, const char *source) {
    bool relative = source[0] != '/' && exaone_source_classify(source) == EXAONE_SOURCE_PATH;
    return s->base && relative ? exaone_path_join(s->base, source) : exaone_mem_string(source, strlen(source));
}

static exaone_status load_image(const ask_settings *s, const char *source, exaone_image *image, exaone_error *err) {
    char *path = place(s, source);
    uint8_t *bytes = NULL;
    size_t n;
    if (!path) {
        return exaone_fail_memory(err, "a path", strlen(source));
    }
    exaone_image_options options = {.strict_reference = s->strict_reference};
    exaone_status status = exaone_media_load(path, &s->source, &bytes, &n, err);
    if (status == EXAONE_OK) {
        status = exaone_image_decode(bytes, n, &options, image, err);
    }
    free(bytes);
    free(path);
    return status == EXAONE_OK ? EXAONE_OK : exaone_fail_context(err, status, "%.200s", source);
}

/* A video given as a list of pictures. */
static exaone_status load_frames(const exaone_engine *e, const ask_settings *s, const exaone_json *frames,
                                 const exaone_pixel_config *config, exaone_pixels *out, exaone_error *err) {
    exaone_image *images = exaone_mem_array(frames->len, sizeof *images);
    exaone_status status = images ? EXAONE_OK : exaone_fail_memory(err, "frames", frames->len * sizeof *images);
    size_t n = 0;
    for (const exaone_json *f = frames->first; f && status == EXAONE_OK; f = f->next) {
        char *path = exaone_json_is(f, EXAONE_JSON_STRING) ? exaone_mem_string(f->text, f->len) : NULL;
        status = path ? load_image(s, path, &images[n++], err)
                      : exaone_fail(err, EXAONE_ERR_ARGUMENT, "frames[%zu] is not a path", n);
        free(path);
    }
    if (status == EXAONE_OK) {
        exaone_video_source source = {.frames = images, .n_frames = n};
        status = exaone_preprocess_video(&source, &s->video, config, exaone_engine_parallel(e), false, out, NULL, err);
    }
    for (size_t i = 0; i < n; i++) {
        exaone_image_release(&images[i]);
    }
    free(images);
    return status;
}

static exaone_status load_video(const exaone_engine *e, const ask_settings *s, const char *source,
                                const exaone_pixel_config *config, exaone_pixels *out, exaone_error *err) {
    char *path = place(s, source);
    if (!path) {
        return exaone_fail_memory(err, "a path", strlen(source));
    }
    exaone_video_source from = {0};
    uint8_t *bytes = NULL;
    exaone_status status = EXAONE_OK;
    if (exaone_source_classify(path) == EXAONE_SOURCE_PATH) {
        from.path = path;
    } else {
        status = exaone_media_load(path, &s->source, &bytes, &from.n_bytes, err);
        from.bytes = bytes;
    }
    if (status == EXAONE_OK) {
        status = exaone_preprocess_video(&from, &s->video, config, exaone_engine_parallel(e), false, out, NULL, err);
    }
    free(bytes);
    free(path);
    return status == EXAONE_OK ? EXAONE_OK : exaone_fail_context(err, status, "%.200s", source);
}

/* messages[m].content[p] of the request's tree. */
static const exaone_json *part_of(const exaone_json *tree, size_t message, size_t part) {
    const exaone_json *list = exaone_json_get(tree, "messages");
    const exaone_json *m = exaone_json_is(list, EXAONE_JSON_ARRAY) ? list->first : NULL;
    for (; m && message > 0; message--) {
        m = m->next;
    }
    const exaone_json *content = exaone_json_get(m, "content");
    const exaone_json *p = exaone_json_is(content, EXAONE_JSON_ARRAY) ? content->first : NULL;
    for (; p && part > 0; part--) {
        p = p->next;
    }
    return p;
}

static exaone_status load_media(const exaone_engine *e, const ask_settings *s, const exaone_media_ref *ref,
                                const exaone_json *tree, exaone_pixels *out, exaone_error *err) {
    const exaone_processor_config *processor = exaone_engine_processor(e);
    exaone_pixel_config config = ref->is_video ? processor->video : processor->image;
    config.min_pixels = s->min_pixels ? s->min_pixels : config.min_pixels;
    config.max_pixels = s->max_pixels ? s->max_pixels : config.max_pixels;
    const exaone_json *frames = exaone_json_get(part_of(tree, ref->message, ref->part), "frames");
    if (ref->is_video && exaone_json_is(frames, EXAONE_JSON_ARRAY)) {
        return load_frames(e, s, frames, &config, out, err);
    }
    if (!ref->source) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "messages[%zu].content[%zu]: no path or URL", ref->message, ref->part);
    }
    if (ref->is_video) {
        return load_video(e, s, ref->source, &config, out, err);
    }
    exaone_image image = {0};
    exaone_status status = load_image(s, ref->source, &image, err);
    if (status == EXAONE_OK) {
        status = exaone_preprocess_image(&image, &config, exaone_engine_parallel(e), false, out, err);
    }
    exaone_image_release(&image);
    return status;
}

/* ---- prompt ---- */

typedef struct {
    exaone_rendered rendered;
    exaone_pixels *pixels;      /* [n] */
    exaone_prompt_media *media; /* [n] */
    size_t n;
    int32_t *ids;
    size_t n_ids;
} prompt;

static void prompt_release(prompt *p) {
    for (size_t i = 0; p->pixels && i < p->n; i++) {
        exaone_pixels_release(&p->pixels[i]);
    }
    free(p->pixels);
    free(p->media);
    free(p->ids);
    exaone_rendered_release(&p->rendered);
}

static exaone_status expand(const exaone_engine *e, prompt *p, const int32_t *ids, size_t n_ids, exaone_error *err) {
    const exaone_model_info *info = exaone_engine_info(e);
    const exaone_processor_config *processor = exaone_engine_processor(e);
    size_t *tokens = exaone_mem_array(2 * p->n, sizeof *tokens), n_images = 0, n_videos = 0;
    if (!tokens) {
        return exaone_fail_memory(err, "media token counts", p->n * sizeof *tokens);
    }
    for (size_t i = 0; i < p->n; i++) {
        bool video = p->media[i].is_video;
        size_t *at = video ? &tokens[p->n + n_videos++] : &tokens[n_images++];
        *at = exaone_pixels_tokens(&p->pixels[i], video ? &processor->video : &processor->image);
    }
    exaone_status s =
        exaone_expand_placeholders(ids, n_ids, info->image_token_id, tokens, n_images, info->video_token_id, tokens + p->n,
                                   n_videos, (size_t)info->max_position_embeddings, &p->ids, &p->n_ids, err);
    free(tokens);
    return s;
}

static exaone_status make_prompt(exaone_engine *e, const char *request, size_t n_request, const exaone_json *tree,
                                 const ask_settings *s, prompt *p, exaone_error *err) {
    exaone_template_options options = {.strict_reference = s->strict_reference, .trust_all = s->parse_special};
    exaone_status status = exaone_template_render(request, n_request, &options, &p->rendered, err);
    if (status != EXAONE_OK) {
        return status;
    }
    const exaone_rendered *r = &p->rendered;
    p->pixels = exaone_mem_array(r->n_media, sizeof *p->pixels);
    p->media = exaone_mem_array(r->n_media, sizeof *p->media);
    if (!p->pixels || !p->media) {
        return exaone_fail_memory(err, "the media list", r->n_media * sizeof *p->pixels);
    }
    p->n = r->n_media;
    for (size_t i = 0; status == EXAONE_OK && i < p->n; i++) {
        p->media[i] = (exaone_prompt_media){.pixels = &p->pixels[i], .is_video = r->media[i].is_video};
        status = load_media(e, s, &r->media[i], tree, &p->pixels[i], err);
    }
    int32_t *ids = NULL;
    size_t n_ids = 0;
    if (status == EXAONE_OK) {
        status = exaone_tokenizer_encode_spans(exaone_engine_tokenizer(e), r->spans, r->n_spans, &ids, &n_ids, err);
    }
    if (status == EXAONE_OK) {
        status = expand(e, p, ids, n_ids, err);
    }
    free(ids);
    return status;
}

/* ---- generation ---- */

typedef struct {
    const ask_settings *s;
    ask_result *result;
    exaone_buf pending; /* text that may still become a stop text */
    size_t longest_stop;
    size_t shown_reasoning, shown_content;
    ask_delta_fn *delta;
    void *ctx;
} generation;

static void show(generation *g) {
    size_t n_reasoning, n_content;
    const char *reasoning = exaone_reply_reasoning(g->result->reply, &n_reasoning);
    const char *content = exaone_reply_content(g->result->reply, &n_content);
    if (g->delta && (n_reasoning > g->shown_reasoning || n_content > g->shown_content)) {
        g->delta(g->ctx, reasoning + g->shown_reasoning, n_reasoning - g->shown_reasoning, content + g->shown_content,
                 n_content - g->shown_content);
    }
    g->shown_reasoning = n_reasoning;
    g->shown_content = n_content;
}

/* New text: looks for stop texts, feeds what can no longer be part of one. *hit = a stop text was found. */
static exaone_status take_text(generation *g, const char *text, size_t n, bool final, bool *hit, exaone_error *err) {
    if (!exaone_buf_append(&g->pending, text, n)) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the reply is longer than %zu bytes", g->pending.max);
    }
    size_t feed = g->pending.len, hold = g->longest_stop ? g->longest_stop - 1 : 0;
    feed = final ? feed : feed > hold ? feed - hold : 0;
    *hit = false;
    for (size_t i = 0; i < g->s->n_stops; i++) {
        const char *at =
            g->pending.len ? memmem(g->pending.data, g->pending.len, g->s->stops[i], strlen(g->s->stops[i])) : NULL;
        if (at && (!*hit || (size_t)(at - g->pending.data) < feed)) {
            feed = (size_t)(at - g->pending.data);
            *hit = true;
        }
    }
    exaone_status status = feed ? exaone_reply_feed(g->result->reply, g->pending.data, feed, err) : EXAONE_OK;
    if (feed) {
        memmove(g->pending.data, g->pending.data + feed, g->pending.len - feed);
        g->pending.len -= feed;
    }
    show(g);
    return status;
}

static bool is_end(const exaone_model_info *info, int32_t id) {
    for (int i = 0; i < info->n_eos_token_ids; i++) {
        if (info->eos_token_ids[i] == id) {
            return true;
        }
    }
    return false;
}

static bool keep_id(ask_result *r, int32_t id) {
    if (r->n_ids % 256 == 0) {
        int32_t *more = exaone_mem_resize(r->ids, r->n_ids + 256, sizeof *more);
        if (!more) {
            return false;
        }
        r->ids = more;
    }
    r->ids[r->n_ids++] = id;
    return true;
}

static exaone_status generate(exaone_engine *e, exaone_session *session, exaone_sampler *sampler, exaone_detokenizer *text,
                              generation *g, exaone_error *err) {
    ask_result *r = g->result;
    const char *piece;
    size_t n;
    bool hit = false;
    exaone_status s = EXAONE_OK;
    while (s == EXAONE_OK && !hit && !r->stopped && (int64_t)r->n_ids < g->s->max_tokens) {
        if (cli_interrupted) {
            r->interrupted = true;
            break;
        }
        int32_t id;
        s = exaone_sampler_choose(sampler, exaone_session_logits(session), &id, NULL, err);
        if (s == EXAONE_OK) {
            s = exaone_sampler_accept(sampler, id, err);
        }
        if (s == EXAONE_OK && !keep_id(r, id)) {
            s = exaone_fail_memory(err, "generated ids", r->n_ids * sizeof id);
        }
        r->stopped = s == EXAONE_OK && is_end(exaone_engine_info(e), id);
        if (s != EXAONE_OK || r->stopped) {
            break;
        }
        s = exaone_detokenizer_put(text, id, &piece, &n, err);
        if (s == EXAONE_OK) {
            s = take_text(g, piece, n, false, &hit, err);
        }
        if (s == EXAONE_OK && !hit && (int64_t)r->n_ids < g->s->max_tokens) {
            s = exaone_session_append(session, id, err);
            if (s == EXAONE_ERR_LIMIT) { /* the context is full: the reply ends by length */
                s = EXAONE_OK;
                break;
            }
        }
    }
    if (s == EXAONE_OK && !hit) {
        s = exaone_detokenizer_flush(text, &piece, &n, err);
        if (s == EXAONE_OK) {
            s = take_text(g, piece, n, true, &hit, err);
        }
    }
    r->stopped = r->stopped || hit;
    if (s == EXAONE_OK) {
        s = exaone_reply_finish(r->reply, r->stopped, err);
    }
    show(g);
    return s;
}

static bool on_progress(void *ctx, size_t done, size_t total) {
    const ask_settings *s = ctx;
    if (s->progress && total > 512) {
        fprintf(stderr, done < total ? "\rreading the prompt: %zu of %zu tokens" : "\r\033[K", done, total);
        fflush(stderr);
    }
    return !cli_interrupted;
}

exaone_status ask(exaone_engine *e, exaone_session *session, const char *request, size_t n_request, const exaone_json *tree,
                  const ask_settings *s, ask_delta_fn *delta, void *ctx, ask_result *result, exaone_error *err) {
    *result = (ask_result){0};
    prompt p = {0};
    exaone_sampler *sampler = NULL;
    exaone_detokenizer *text = NULL;
    const exaone_model_info *info = exaone_engine_info(e);
    generation g = {.s = s, .result = result, .delta = delta, .ctx = ctx};
    exaone_buf_init(&g.pending, 64 << 20);
    for (size_t i = 0; i < s->n_stops; i++) {
        size_t n = strlen(s->stops[i]);
        g.longest_stop = n > g.longest_stop ? n : g.longest_stop;
    }
    double t0 = now();
    exaone_status status = make_prompt(e, request, n_request, tree, s, &p, err);
    double t1 = now();
    if (status == EXAONE_OK) {
        exaone_prompt prompt_ids = {.ids = p.ids, .n_ids = p.n_ids, .media = p.media, .n_media = p.n};
        status = exaone_session_sync(session, &prompt_ids, on_progress, (void *)(uintptr_t)s, err);
    }
    double t2 = now();
    if (status == EXAONE_OK) {
        result->prompt_tokens = p.n_ids;
        result->reused_tokens = exaone_session_reused(session);
        result->reply = exaone_reply_new(p.rendered.thinking, s->tools);
        status = result->reply ? EXAONE_OK : exaone_fail_memory(err, "the reply", 1);
    }
    if (status == EXAONE_OK) {
        int32_t ends[8];
        for (int i = 0; i < info->n_eos_token_ids; i++) {
            ends[i] = info->eos_token_ids[i];
        }
        status =
            exaone_sampler_new(&s->sampling, (size_t)info->vocab_size, ends, (size_t)info->n_eos_token_ids, &sampler, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_sampler_prompt(sampler, p.ids, p.n_ids, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_detokenizer_new(exaone_engine_tokenizer(e), 0, &text, err);
    }
    if (status == EXAONE_OK) {
        status = generate(e, session, sampler, text, &g, err);
    }
    result->load_seconds = t1 - t0;
    result->prompt_seconds = t2 - t1;
    result->generate_seconds = now() - t2;
    exaone_detokenizer_free(text);
    exaone_sampler_free(sampler);
    exaone_buf_release(&g.pending);
    prompt_release(&p);
    return status;
}
