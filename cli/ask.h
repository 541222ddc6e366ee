/* One question to the model: conversation to prompt, media to pixels, tokens to reply. Shared by run, chat and eval. */
#ifndef EXAONE_CLI_ASK_H
#define EXAONE_CLI_ASK_H

#include "base/json.h"
#include "media.h"

typedef struct ask_settings {
    exaone_sampling sampling;
    int64_t max_tokens;
    bool thinking, tools, parse_special, strict_reference;
    const char *const *stops; /* [n_stops] texts that end the reply; not shown */
    size_t n_stops;
    cli_media_options media;
    const char *base; /* folder that relative paths start from; NULL: the current one */
    int draft;        /* drafts per step, or EXAONE_DRAFT_AUTO */
    size_t logprobs;  /* most probable tokens kept for each token of the reply; with want_logprobs */
    bool want_logprobs;
    size_t samples;         /* replies to the one prompt, each with random numbers of its own; 0 is 1 */
    bool progress;          /* show progress on standard error */
    struct ask_media *held; /* images and videos kept between questions; NULL: nothing is kept */
} ask_settings;

/* The images and videos of a conversation, so that each is read and resized once. NULL: out of memory. */
struct ask_media *ask_media_new(void);
void ask_media_free(struct ask_media *held); /* NULL is fine */

/* Reads an image or video at once and keeps it for the next question. */
EXAONE_MUST_USE exaone_status ask_media_read(const exaone_engine *engine, const ask_settings *settings, char *source,
                                             bool is_video, exaone_error *err);

/* What came out. Zeroed = empty; ask_result_release. */
typedef struct ask_result {
    int32_t *ids; /* [n_ids] the generated ids, the end token included */
    size_t n_ids, prompt_tokens, reused_tokens;
    exaone_reply *reply;
    bool stopped, interrupted;
    bool stop_text;                                                         /* a --stop text ended it */
    double media_seconds, vision_seconds, prompt_seconds, generate_seconds; /* files; vision tower; the rest; the reply */
    exaone_generation_stats stats;                                          /* of this reply */
    exaone_logprob *logprobs; /* [n_ids, 1 + n_top]: the token itself, then the most probable ones; or NULL */
    size_t n_top;
    struct ask_result *more; /* [n_more] the other samples; only their replies, logprobs and stats are theirs */
    size_t n_more;
} ask_result;

double cli_seconds(void); /* a clock that only goes forward */
void ask_result_release(ask_result *r);

/* Sees the reply grow: new bytes of reasoning and of content. */
typedef void ask_delta_fn(void *ctx, const char *reasoning, size_t n_reasoning, const char *content, size_t n_content);

/* request: JSON for exaone_template_render; its tree in `tree` gives video frames lists (may be NULL). `delta` may be NULL.
 * On failure err is set and *result may hold what was generated. */
EXAONE_MUST_USE exaone_status ask(exaone_engine *engine, exaone_session *session, const char *request, size_t n_request,
                                  const exaone_json *tree, const ask_settings *settings, ask_delta_fn *delta, void *ctx,
                                  ask_result *result, exaone_error *err);

/* Options of the forward calls of a session. */
typedef struct ask_step_options {
    int64_t batch;
    const char *draft; /* a number, "auto", "off"; NULL: auto */
    int n_draft;       /* what `draft` means, as in ask_settings; filled by ask_step_check */
} ask_step_options;
#define ASK_STEP_OPTIONS(o)                                                                                          \
    {"--batch", "-b", OPT_INT, &(o).batch, 1, 65536, "N", "most prompt tokens of one forward call (default 256)"}, { \
        "--draft", NULL, OPT_TEXT, &(o).draft, 0, 0, "N",                                                            \
            "tokens drafted per step with the model's draft module: 1 to 8, auto (default), off"                     \
    }
/* Fills n_draft and the session's options. Returns -1, or an exit code with the message printed. */
int ask_step_check(const char *command, ask_step_options *o, exaone_session_options *session);

enum { ASK_MOST_BIASES = 256 };

/* Options that run, chat and eval share; the table entries write into it. */
typedef struct ask_options {
    cli_model_options model;
    const char *preset;
    double temperature, top_p, min_p, typical_p, presence, frequency, repetition; /* NAN: not given */
    int64_t top_k, seed, max_tokens, min_tokens, context;
    cli_cache_options cache;
    ask_step_options step;
    exaone_session_options session; /* what the options mean; filled by ask_options_check */
    cli_media_options media;
    bool greedy, think, no_think, parse_special;
    cli_list stops, biases;
    exaone_logit_bias bias[ASK_MOST_BIASES]; /* [biases.n] what they mean; filled by ask_options_check */
} ask_options;

void ask_options_init(ask_options *o);
#define ASK_OPTIONS(o)                                                                                                       \
    CLI_MODEL_OPTIONS((o).model),                                                                                            \
        {"--ctx", "-c", OPT_INT, &(o).context, 1, 1 << 30, "N", "context in tokens (default 32768, at most the model's)"},   \
        CLI_CACHE_TYPE_OPTIONS((o).cache), ASK_STEP_OPTIONS((o).step),                                                       \
        {"--preset", NULL, OPT_TEXT, &(o).preset, 0, 0, "NAME", "sampling settings of the model card: general, ocr, text"},  \
        {"--temp", NULL, OPT_DOUBLE, &(o).temperature, 0, 1e6, "X", "temperature; 0 is greedy"},                             \
        {"--top-p", NULL, OPT_DOUBLE, &(o).top_p, 0, 1, "X", "keep the most probable tokens of this mass"},                  \
        {"--top-k", NULL, OPT_INT, &(o).top_k, 0, 1 << 30, "N", "keep the N most probable tokens; 0 is off"},                \
        {"--min-p", NULL, OPT_DOUBLE, &(o).min_p, 0, 1, "X", "drop tokens below X times the most probable"},                 \
        {"--typical-p", NULL, OPT_DOUBLE, &(o).typical_p, 1e-6, 1, "X", "keep the most typical tokens of this mass"},        \
        {"--presence-penalty", NULL, OPT_DOUBLE, &(o).presence, -1e6, 1e6, "X", "subtracted from tokens already generated"}, \
        {"--frequency-penalty", NULL, OPT_DOUBLE, &(o).frequency, -1e6, 1e6, "X", "subtracted per occurrence"},              \
        {"--repetition-penalty", NULL, OPT_DOUBLE, &(o).repetition, 1e-6, 1e6, "X", "divides the scores of tokens seen"},    \
        {"--seed", NULL, OPT_INT, &(o).seed, 0, 9e15, "N", "same seed, same text (default: random)"},                        \
        {"--greedy", NULL, OPT_FLAG, &(o).greedy, 0, 0, NULL, "always the most probable token"},                             \
        {"--max-tokens", "-n", OPT_INT, &(o).max_tokens, 1, 1 << 30, "N", "longest reply in tokens (default 32768)"},        \
        {"--min-tokens", NULL, OPT_INT, &(o).min_tokens, 0, 1 << 30, "N", "tokens before the reply may end (default 0)"},    \
        {"--logit-bias",                                                                                                     \
         NULL,                                                                                                               \
         OPT_LIST,                                                                                                           \
         &(o).biases,                                                                                                        \
         0,                                                                                                                  \
         0,                                                                                                                  \
         "ID=X",                                                                                                             \
         "add X to a token's score, -inf forbids it (repeatable)"},                                                          \
        {"--stop", NULL, OPT_LIST, &(o).stops, 0, 0, "TEXT", "end the reply before this text (repeatable)"},                 \
        {"--think", NULL, OPT_FLAG, &(o).think, 0, 0, NULL, "let the model reason first (default)"},                         \
        {"--no-think", NULL, OPT_FLAG, &(o).no_think, 0, 0, NULL, "answer at once"},                                         \
        {"--parse-special",                                                                                                  \
         NULL,                                                                                                               \
         OPT_FLAG,                                                                                                           \
         &(o).parse_special,                                                                                                 \
         0,                                                                                                                  \
         0,                                                                                                                  \
         NULL,                                                                                                               \
         "control tokens typed in the prompt count as such"},                                                                \
        CLI_MEDIA_OPTIONS((o).media)

/* Settings that exclude each other, and the session's options. Returns -1, or an exit code with the message printed. */
int ask_options_check(const char *command, ask_options *o);

/* Fills the settings; says on standard error which sampling is used when `say`. Returns -1, or an exit code with the message
 * printed. */
int ask_settings_resolve(const char *command, const ask_options *o, const exaone_engine *engine, bool has_media,
                         const char *prompt, bool say, ask_settings *out);

#endif
