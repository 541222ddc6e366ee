/* One question to the model: see ask.h. */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "stop.h"

double cli_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void ask_result_release(ask_result *r) {
    for (size_t i = 0; i < r->n_more; i++) {
        ask_result_release(&r->more[i]);
    }
    free(r->more);
    free(r->ids);
    free(r->logprobs);
    exaone_reply_free(r->reply);
    *r = (ask_result){0};
}

/* ---- media ---- */

typedef struct held_medium {
    char *source;
    bool is_video;
    exaone_pixels pixels;
} held_medium;

enum { MAX_HELD = 1024 };

struct ask_media {
    held_medium *items; /* [n] */
    size_t n;
};

struct ask_media *ask_media_new(void) {
    return exaone_mem_array(1, sizeof(struct ask_media));
}

void ask_media_free(struct ask_media *held) {
    for (size_t i = 0; held && i < held->n; i++) {
        exaone_pixels_release(&held->items[i].pixels);
        free(held->items[i].source);
    }
    if (held) {
        free(held->items);
    }
    free(held);
}

static const exaone_pixels *find_held(const struct ask_media *held, const exaone_media_ref *ref) {
    for (size_t i = 0; held && ref->source && i < held->n; i++) {
        if (held->items[i].is_video == ref->is_video && strcmp(held->items[i].source, ref->source) == 0) {
            return &held->items[i].pixels;
        }
    }
    return NULL;
}

/* Hands *pixels over to `held`; without room they stay the caller's. */
static const exaone_pixels *hold(struct ask_media *held, const exaone_media_ref *ref, exaone_pixels *pixels) {
    if (!held || !ref->source || held->n >= MAX_HELD) {
        return pixels;
    }
    if (held->n == 0) {
        held->items = exaone_mem_array(MAX_HELD, sizeof *held->items); /* never moves: prompts point into it */
    }
    char *source = held->items ? exaone_mem_string(ref->source, strlen(ref->source)) : NULL;
    if (!source) {
        return pixels;
    }
    held_medium *item = &held->items[held->n++];
    *item = (held_medium){.source = source, .is_video = ref->is_video, .pixels = *pixels};
    *pixels = (exaone_pixels){0};
    return &item->pixels;
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

/* The pictures of a video's `frames` list: *paths [*n], their texts are owned too. */
static exaone_status read_frames(const exaone_json *frames, char ***paths, size_t *n, exaone_error *err) {
    *n = 0;
    *paths = exaone_mem_array(frames->len, sizeof **paths);
    if (!*paths) {
        return exaone_fail_memory(err, "frames", frames->len * sizeof **paths);
    }
    for (const exaone_json *f = frames->first; f; f = f->next) {
        if (!exaone_json_is(f, EXAONE_JSON_STRING)) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "frames[%zu] is not a path", *n);
        }
        (*paths)[*n] = exaone_mem_string(f->text, f->len);
        if (!(*paths)[(*n)++]) {
            return exaone_fail_memory(err, "a path", f->len);
        }
    }
    return EXAONE_OK;
}

/* Pixels of one image or video, loaded into *own or found among the held ones. */
static exaone_status load_media(const exaone_engine *e, const ask_settings *s, const exaone_media_ref *ref,
                                const exaone_json *tree, exaone_pixels *own, const exaone_pixels **out, exaone_error *err) {
    const exaone_json *frames = ref->is_video ? exaone_json_get(part_of(tree, ref->message, ref->part), "frames") : NULL;
    bool listed = exaone_json_is(frames, EXAONE_JSON_ARRAY);
    *out = listed ? NULL : find_held(s->held, ref);
    if (*out) {
        return EXAONE_OK;
    }
    char **paths = NULL;
    size_t n = 0;
    exaone_status status = listed ? read_frames(frames, &paths, &n, err) : EXAONE_OK;
    if (status == EXAONE_OK && !listed && !ref->source) {
        status =
            exaone_fail(err, EXAONE_ERR_ARGUMENT, "messages[%zu].content[%zu]: no path or URL", ref->message, ref->part);
    }
    if (status == EXAONE_OK) {
        exaone_processor_config config = cli_media_config(exaone_engine_processor(e), &s->media);
        cli_medium m = {.source = listed ? NULL : ref->source,
                        .frames = (const char *const *)paths,
                        .n_frames = n,
                        .folder = s->base,
                        .is_video = ref->is_video};
        cli_progress(s->progress, "reading %s %.60s", ref->is_video ? "video" : "image", ref->source ? ref->source : "");
        status = cli_media_load(&m, &s->media, &config, exaone_engine_parallel(e), false, own, NULL, err);
    }
    if (status == EXAONE_OK) {
        *out = listed ? own : hold(s->held, ref, own);
    }
    for (size_t i = 0; i < n; i++) {
        free(paths[i]);
    }
    free(paths);
    return status;
}

exaone_status ask_media_read(const exaone_engine *e, const ask_settings *s, char *source, bool is_video, exaone_error *err) {
    exaone_media_ref ref = {.source = source, .is_video = is_video};
    exaone_pixels own = {0};
    const exaone_pixels *got;
    exaone_status status = load_media(e, s, &ref, NULL, &own, &got, err);
    exaone_pixels_release(&own);
    cli_progress_clear(s->progress);
    return status;
}

/* ---- prompt ---- */

typedef struct {
    exaone_rendered rendered;
    exaone_pixels *pixels;      /* [n] those that are not held elsewhere */
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
        *at = exaone_pixels_tokens(p->media[i].pixels, video ? &processor->video : &processor->image);
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
    if (r->n_media && !exaone_engine_info(e)->has_vision) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "this model has no vision part: it takes no images or videos%s",
                           strcmp(exaone_engine_info(e)->format, "gguf") == 0 ? " (--mmproj FILE adds it)" : "");
    }
    p->pixels = exaone_mem_array(r->n_media, sizeof *p->pixels);
    p->media = exaone_mem_array(r->n_media, sizeof *p->media);
    if (!p->pixels || !p->media) {
        return exaone_fail_memory(err, "the media list", r->n_media * sizeof *p->pixels);
    }
    p->n = r->n_media;
    for (size_t i = 0; status == EXAONE_OK && i < p->n; i++) {
        p->media[i].is_video = r->media[i].is_video;
        status = load_media(e, s, &r->media[i], tree, &p->pixels[i], &p->media[i].pixels, err);
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
    cli_stopper *stopper;
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

/* New text, through the stop texts, into the parser. final: the end of the text. */
static exaone_status take_text(generation *g, const char *text, size_t n, bool final, exaone_error *err) {
    const char *out;
    size_t n_out;
    exaone_status status = cli_stopper_feed(g->stopper, text, n, &out, &n_out, err);
    if (status == EXAONE_OK && n_out) {
        status = exaone_reply_feed(g->result->reply, out, n_out, err);
    }
    if (status == EXAONE_OK && final) {
        out = cli_stopper_rest(g->stopper, &n_out);
        status = n_out ? exaone_reply_feed(g->result->reply, out, n_out, err) : EXAONE_OK;
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

/* The newest id's logarithm of its probability and the most probable tokens, from the logits it was chosen from. */
static exaone_status keep_logprobs(exaone_engine *e, ask_result *r, const float *logits, exaone_error *err) {
    size_t width = 1 + r->n_top, at = r->n_ids - 1;
    if (at % 256 == 0) {
        exaone_logprob *more = exaone_mem_resize(r->logprobs, (at + 256) * width, sizeof *more);
        if (!more) {
            return exaone_fail_memory(err, "logprobs", (at + 256) * width * sizeof *more);
        }
        r->logprobs = more;
    }
    exaone_logprob *row = r->logprobs + at * width;
    row[0].id = r->ids[at];
    return exaone_scores_logprobs(logits, (size_t)exaone_engine_info(e)->vocab_size, row[0].id, &row[0].logprob, row + 1,
                                  r->n_top, err);
}

/* One token of the reply: kept, and its text shown. Its logits are those of token i of the step. */
static exaone_status take_token(exaone_engine *e, const exaone_session *session, exaone_detokenizer *text, generation *g,
                                int32_t id, size_t i, exaone_error *err) {
    ask_result *r = g->result;
    const char *piece;
    size_t n;
    if (!keep_id(r, id)) {
        return exaone_fail_memory(err, "generated ids", r->n_ids * sizeof id);
    }
    exaone_status s = g->s->want_logprobs ? keep_logprobs(e, r, exaone_session_step_logits(session, i), err) : EXAONE_OK;
    r->stopped = s == EXAONE_OK && is_end(exaone_engine_info(e), id);
    if (s != EXAONE_OK || r->stopped) {
        return s;
    }
    s = exaone_detokenizer_put(text, id, &piece, &n, err);
    return s == EXAONE_OK ? take_text(g, piece, n, false, err) : s;
}

static exaone_status generate(exaone_engine *e, exaone_session *session, exaone_sampler *sampler, exaone_detokenizer *text,
                              generation *g, exaone_error *err) {
    ask_result *r = g->result;
    const char *piece;
    size_t n;
    exaone_status s = EXAONE_OK;
    exaone_draft_options drafts = {.n = g->s->draft};
    r->n_top = g->s->logprobs;
    exaone_session_reset_stats(session);
    while (s == EXAONE_OK && !cli_stopper_hit(g->stopper) && !r->stopped && (int64_t)r->n_ids < g->s->max_tokens) {
        int32_t ids[EXAONE_MAX_DRAFT + 1];
        if (cli_interrupted) {
            r->interrupted = true;
            break;
        }
        drafts.max_tokens = (size_t)(g->s->max_tokens - (int64_t)r->n_ids);
        s = exaone_session_generate(session, sampler, &drafts, ids, &n, err);
        if (s == EXAONE_ERR_LIMIT) { /* the context is full: the reply ends by length */
            s = EXAONE_OK;
            break;
        }
        for (size_t i = 0, given = n; i < given && s == EXAONE_OK && !cli_stopper_hit(g->stopper); i++) {
            s = take_token(e, session, text, g, ids[i], i, err);
        }
    }
    r->stats = *exaone_session_stats(session);
    if (s == EXAONE_OK && !cli_stopper_hit(g->stopper)) {
        s = exaone_detokenizer_flush(text, &piece, &n, err);
        if (s == EXAONE_OK) {
            s = take_text(g, piece, n, true, err);
        }
    }
    r->stop_text = cli_stopper_hit(g->stopper);
    r->stopped = r->stopped || r->stop_text;
    if (s == EXAONE_OK) {
        s = exaone_reply_finish(r->reply, r->stopped, err);
    }
    show(g);
    return s;
}

/* One reply to the prompt that the session holds, with a sampler that knows it. */
static exaone_status reply(exaone_engine *e, exaone_session *session, exaone_sampler *sampler, bool thinking, generation *g,
                           exaone_error *err) {
    exaone_detokenizer *text = NULL;
    double start = cli_seconds();
    exaone_status status = cli_stopper_new(g->s->stops, g->s->n_stops, &g->stopper, err);
    if (status == EXAONE_OK) {
        g->result->reply = exaone_reply_new(thinking, g->s->tools);
        status = g->result->reply ? EXAONE_OK : exaone_fail_memory(err, "the reply", 1);
    }
    if (status == EXAONE_OK) {
        status = exaone_detokenizer_new(exaone_engine_tokenizer(e), EXAONE_SKIP_SPECIAL, &text, err);
    }
    if (status == EXAONE_OK) {
        status = generate(e, session, sampler, text, g, err);
    }
    g->result->generate_seconds = cli_seconds() - start;
    exaone_detokenizer_free(text);
    cli_stopper_free(g->stopper);
    g->stopper = NULL;
    return status;
}

/* The other samples: `origin` stands at the end of the prompt and so does the sampler; each goes on in a fork with a random
 * stream of its own. */
static exaone_status more_replies(exaone_engine *e, const exaone_session *origin, const exaone_sampler *sampler,
                                  bool thinking, const ask_settings *s, ask_result *first, exaone_error *err) {
    exaone_status status = EXAONE_OK;
    first->more = exaone_mem_array(s->samples - 1, sizeof *first->more);
    if (!first->more) {
        return exaone_fail_memory(err, "the samples", s->samples * sizeof *first->more);
    }
    while (first->n_more < s->samples - 1 && status == EXAONE_OK && !cli_interrupted) {
        exaone_sampler *own = NULL;
        exaone_session *fork = NULL;
        generation g = {.s = s, .result = &first->more[first->n_more++]};
        status = exaone_sampler_clone(sampler, (uint32_t)first->n_more, &own, err);
        if (status == EXAONE_OK) {
            status = exaone_session_fork(origin, &fork, err);
        }
        if (status == EXAONE_OK) {
            status = reply(e, fork, own, thinking, &g, err);
        }
        if (status == EXAONE_OK) {
            exaone_session_save(fork, true);
        }
        exaone_session_free(fork);
        exaone_sampler_free(own);
    }
    return status;
}

static exaone_status new_sampler(exaone_engine *e, const ask_settings *s, const prompt *p, exaone_sampler **out,
                                 exaone_error *err) {
    const exaone_model_info *info = exaone_engine_info(e);
    int32_t ends[8];
    for (int i = 0; i < info->n_eos_token_ids; i++) {
        ends[i] = info->eos_token_ids[i];
    }
    exaone_status status =
        exaone_sampler_new(&s->sampling, (size_t)info->vocab_size, ends, (size_t)info->n_eos_token_ids, out, err);
    return status == EXAONE_OK ? exaone_sampler_prompt(*out, p->ids, p->n_ids, err) : status;
}

static exaone_status replies(exaone_engine *e, exaone_session *session, const prompt *p, generation *g, exaone_error *err) {
    bool several = g->s->samples > 1;
    exaone_sampler *sampler = NULL, *first = NULL;
    exaone_session *origin = NULL;
    exaone_status status = new_sampler(e, g->s, p, &sampler, err);
    if (status == EXAONE_OK && several) {
        status = exaone_session_fork(session, &origin, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_sampler_clone(sampler, 0, &first, err);
    }
    if (status == EXAONE_OK) {
        status = reply(e, session, first, p->rendered.thinking, g, err);
    }
    if (status == EXAONE_OK && several) {
        status = more_replies(e, origin, sampler, p->rendered.thinking, g->s, g->result, err);
    }
    exaone_session_free(origin);
    exaone_sampler_free(first);
    exaone_sampler_free(sampler);
    return status;
}

/* What the prompt's evaluation reports, and the time that its images and videos took. */
typedef struct {
    const ask_settings *s;
    const prompt *p;
    double encode_since, encode_seconds; /* since: 0 when no medium is being encoded */
} progress_view;

static bool on_progress(void *ctx, const exaone_progress *at) {
    progress_view *v = ctx;
    if (at->encodes && v->encode_since == 0) {
        v->encode_since = cli_seconds();
    } else if (!at->encodes && v->encode_since > 0) {
        v->encode_seconds += cli_seconds() - v->encode_since;
        v->encode_since = 0;
    }
    if (at->encodes) {
        bool video = v->p->media[at->medium].is_video;
        size_t number = 1;
        for (size_t i = 0; i < at->medium; i++) {
            number += v->p->media[i].is_video == video;
        }
        cli_progress(v->s->progress, "looking at %s %zu: block %zu of %zu", video ? "video" : "image", number,
                     at->done < at->total ? at->done + 1 : at->total, at->total);
    } else {
        cli_progress(v->s->progress, "reading the prompt: %zu of %zu tokens", at->done, at->total);
    }
    return !cli_interrupted;
}

exaone_status ask(exaone_engine *e, exaone_session *session, const char *request, size_t n_request, const exaone_json *tree,
                  const ask_settings *s, ask_delta_fn *delta, void *ctx, ask_result *result, exaone_error *err) {
    *result = (ask_result){0};
    prompt p = {0};
    generation g = {.s = s, .result = result, .delta = delta, .ctx = ctx};
    progress_view view = {.s = s, .p = &p};
    double t0 = cli_seconds();
    exaone_status status = make_prompt(e, request, n_request, tree, s, &p, err);
    double t1 = cli_seconds();
    if (status == EXAONE_OK) {
        exaone_prompt prompt_ids = {.ids = p.ids, .n_ids = p.n_ids, .media = p.media, .n_media = p.n};
        status = exaone_session_sync(session, &prompt_ids, on_progress, &view, err);
    }
    double t2 = cli_seconds();
    cli_progress_clear(s->progress);
    result->prompt_tokens = p.n_ids;
    result->reused_tokens = status == EXAONE_OK ? exaone_session_reused(session) : 0;
    if (status == EXAONE_OK) {
        status = replies(e, session, &p, &g, err);
    }
    result->media_seconds = t1 - t0;
    result->vision_seconds = view.encode_seconds;
    result->prompt_seconds = t2 - t1 - view.encode_seconds;
    prompt_release(&p);
    return status;
}
