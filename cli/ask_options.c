/* Options of run, chat and eval, and the sampling settings that follow from them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "base/utf8.h"

void ask_options_init(ask_options *o) {
    *o = (ask_options){
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .typical_p = NAN,
        .presence = NAN,
        .frequency = NAN,
        .repetition = NAN,
        .top_k = -1,
        .seed = -1,
        .max_tokens = 32768,
    };
}

static bool has_hangul(const char *text) {
    uint32_t code;
    size_t n = text ? strlen(text) : 0, len;
    for (size_t i = 0; i < n; i += len) {
        len = exaone_utf8_decode((const uint8_t *)text + i, n - i, &code);
        if (len && ((code >= 0xac00 && code <= 0xd7a3) || (code >= 0x1100 && code <= 0x11ff))) {
            return true;
        }
        len = len ? len : 1;
    }
    return false;
}

/* The card has three settings; the model's own file decides first when it says "greedy". */
static const char *automatic(const exaone_engine *e, bool has_media, const char *prompt) {
    const exaone_generation_defaults *d = exaone_engine_generation_defaults(e);
    if (d->has_do_sample && !d->do_sample) {
        return NULL;
    }
    return has_hangul(prompt) ? "ocr" : has_media ? "general" : "text";
}

static void from_model(const exaone_engine *e, exaone_sampling *s) {
    const exaone_generation_defaults *d = exaone_engine_generation_defaults(e);
    s->do_sample = false;
    s->presence_penalty = d->has_presence_penalty ? d->presence_penalty : 0;
    s->repetition_penalty = d->has_repetition_penalty ? d->repetition_penalty : 1;
}

static uint64_t random_seed(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_nsec * 2654435761u ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 20) & 0xffffffffffff;
}

int ask_step_check(const char *command, ask_step_options *o, exaone_session_options *session) {
    const char *text = o->draft ? o->draft : "auto";
    bool digit = text[0] >= '1' && text[0] <= '0' + EXAONE_MAX_DRAFT && !text[1];
    bool off = strcmp(text, "off") == 0 || strcmp(text, "0") == 0;
    if (!digit && !off && strcmp(text, "auto") != 0) {
        return cli_usage(command, "--draft %s: want auto, off or a number from 1 to %d", text, EXAONE_MAX_DRAFT);
    }
    o->n_draft = digit ? text[0] - '0' : off ? 0 : EXAONE_DRAFT_AUTO;
    session->batch = (uint64_t)o->batch;
    session->draft = !off;
    return -1;
}

/* ID=X */
static bool read_bias(const char *text, exaone_logit_bias *out) {
    char *end;
    unsigned long id = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '=' || id > INT32_MAX || !end[1]) {
        return false;
    }
    out->id = (int32_t)id;
    out->bias = strtof(end + 1, &end);
    return !*end && (isfinite(out->bias) || out->bias == -INFINITY);
}

int ask_options_check(const char *command, ask_options *o) {
    if (o->greedy && o->preset) {
        return cli_usage(command, "--greedy and --preset %s exclude each other", o->preset);
    }
    if (o->greedy && o->temperature > 0) {
        return cli_usage(command, "--greedy and --temp %g exclude each other", o->temperature);
    }
    if (o->think && o->no_think) {
        return cli_usage(command, "--think and --no-think exclude each other");
    }
    for (size_t i = 0; i < o->stops.n; i++) {
        if (!o->stops.items[i][0]) {
            return cli_usage(command, "--stop: the text is empty");
        }
    }
    if (o->biases.n > ASK_MOST_BIASES) {
        return cli_usage(command, "--logit-bias: %zu of them; at most %d are taken", o->biases.n, ASK_MOST_BIASES);
    }
    for (size_t i = 0; i < o->biases.n; i++) {
        if (!read_bias(o->biases.items[i], &o->bias[i])) {
            return cli_usage(command, "--logit-bias %s: want a token id, = and a number or -inf", o->biases.items[i]);
        }
    }
    exaone_session_options_default(&o->session);
    o->session.n_ctx = (uint64_t)o->context;
    int code = cli_cache_types(command, &o->cache, &o->session.cache_type_k, &o->session.cache_type_v);
    code = code < 0 ? ask_step_check(command, &o->step, &o->session) : code;
    code = code < 0 ? cli_media_check(command, &o->media) : code;
    return code < 0 ? cli_model_check(command, &o->model) : code;
}

int ask_settings_resolve(const char *command, const ask_options *o, const exaone_engine *engine, bool has_media,
                         const char *prompt, bool say, ask_settings *out) {
    exaone_error err = {0};
    *out = (ask_settings){
        .draft = o->step.n_draft,
        .max_tokens = o->max_tokens,
        .thinking = !o->no_think,
        .parse_special = o->parse_special,
        .strict_reference = o->media.strict_reference,
        .stops = o->stops.items,
        .n_stops = o->stops.n,
        .media = o->media,
    };
    exaone_sampling *s = &out->sampling;
    exaone_sampling_default(s);
    const char *preset = o->preset ? o->preset : automatic(engine, has_media, prompt);
    if (o->greedy && !o->preset) {
        s->do_sample = false;
    } else if (!preset) {
        from_model(engine, s);
    } else if (exaone_sampling_preset(preset, s, &err) != EXAONE_OK) {
        return cli_usage(command, "--preset: %s", err.message);
    }
    s->temperature = isnan(o->temperature) ? s->temperature : o->temperature;
    s->do_sample = s->do_sample || (!isnan(o->temperature) && o->temperature > 0);
    s->top_p = isnan(o->top_p) ? s->top_p : o->top_p;
    s->min_p = isnan(o->min_p) ? s->min_p : o->min_p;
    s->typical_p = isnan(o->typical_p) ? s->typical_p : o->typical_p;
    s->presence_penalty = isnan(o->presence) ? s->presence_penalty : o->presence;
    s->frequency_penalty = isnan(o->frequency) ? s->frequency_penalty : o->frequency;
    s->repetition_penalty = isnan(o->repetition) ? s->repetition_penalty : o->repetition;
    s->top_k = o->top_k >= 0 ? (int32_t)o->top_k : s->top_k;
    s->min_new_tokens = (int32_t)o->min_tokens;
    s->logit_bias = o->bias;
    s->n_logit_bias = o->biases.n;
    s->do_sample = s->do_sample && !o->greedy;
    s->seed = o->seed >= 0 ? (uint64_t)o->seed : random_seed();
    if (exaone_sampling_validate(s, &err) != EXAONE_OK) {
        return cli_usage(command, "%s", err.message);
    }
    if (say) {
        if (!s->do_sample) {
            cli_say("sampling: greedy%s", o->greedy || !preset ? (o->greedy ? "" : " (the model's generation_config)") : "");
        } else {
            cli_say("sampling: %s%s%s, temperature %g, top_p %g, top_k %d, presence_penalty %g, seed %llu",
                    preset ? "preset " : "explicit settings", preset ? preset : "",
                    !preset || o->preset ? "" : " (chosen from the input)", s->temperature, s->top_p, (int)s->top_k,
                    s->presence_penalty, (unsigned long long)s->seed);
        }
    }
    return -1;
}
