/* The `exaone` program: finds the command and runs it. */
#include "cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_command cli_commands[] = {
    {"run", "exaone run [options] [PROMPT]", "Answer one prompt, with images or videos if given.",
     "The prompt is the argument, -p, -f FILE or standard input. Thinking is on unless --no-think.\n\n"
     "  exaone run --image receipt.png --no-think \"Transcribe the text in the image.\"\n"
     "  exaone run -m EXAONE-4.5-33B-BF16.gguf \"Why is the sky blue?\"\n"
     "  exaone run -m ~/models/EXAONE-4.5-33B --json -p \"2 + 2 = ?\"",
     cmd_run},
    {"chat", "exaone chat [options]", "Talk with the model; /help inside lists the commands.",
     "Ctrl-C stops an answer; Ctrl-D leaves.\n\n"
     "  exaone chat --system \"Answer in Korean.\"\n"
     "  exaone chat -m ~/models/EXAONE-4.5-33B --ctx 65536",
     cmd_chat},
    {"eval", "exaone eval [options] --text FILE | --cases FILE.jsonl",
     "Perplexity of a text, or accuracy over a set of cases.",
     "  exaone eval --cases tests/eval/tiny/cases.jsonl\n  exaone eval -m MODEL --text wiki.txt", cmd_eval},
    {"inspect", "exaone inspect [options] [FILE|DIR]", "Show configuration, tensors, sizes and the memory a context needs.",
     "  exaone inspect EXAONE-4.5-33B-Q4_K_M.gguf --ctx 32768", cmd_inspect},
    {"forward", "exaone forward [options] --in IN.safetensors --out OUT.safetensors",
     "Run the model on named tensors (docs/forward.md).",
     "  exaone forward -m tests/golden/model/micro/checkpoint --in tests/golden/model/micro/stages/text.safetensors \\\n"
     "      --out out.safetensors --stages all",
     cmd_forward},
    {"tokenize", "exaone tokenize [options] < TEXT", "Text on standard input to token ids, as JSON.",
     "  printf 'Hello world' | exaone tokenize", cmd_tokenize},
    {"detokenize", "exaone detokenize [options] ID...", "Token ids to text.", "  exaone detokenize 128 138 131 135",
     cmd_detokenize},
    {"template", "exaone template [options] < REQUEST.json",
     "Messages as JSON on standard input to the text the model reads.",
     "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"options\": {\"add_generation_prompt\": true}}' "
     "| exaone template",
     cmd_template},
    {"parse-reply", "exaone parse-reply [options] < REPLY",
     "A raw reply on standard input to reasoning, content and tool calls, as JSON.",
     "  printf 'It is 4.\\n</think>\\n\\n4' | exaone parse-reply", cmd_parse_reply},
    {"preprocess", "exaone preprocess [options] --out FILE | --size HxW",
     "Images and videos to the pixel values that the model reads.",
     "  exaone preprocess --image cat.jpg --out cat.safetensors\n  exaone preprocess --size 1080x1920", cmd_preprocess},
    {"quantize", "exaone quantize --type T [options] SOURCE TARGET.gguf", "Write a model as GGUF files of a smaller type.",
     "SOURCE is a Hugging Face folder or a GGUF file. The vision tower goes into a second file, mmproj-NAME-BF16.gguf "
     "beside\n"
     "TARGET unless --mmproj-out names it. Files appear under their names when all are complete.\n\n"
     "Types: F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S Q4_0 IQ4_XS IQ4_NL Q3_K_M Q2_K MXFP4\n"
     "Single tensors: F32 F16 BF16 Q8_0 Q6_K Q5_K Q5_1 Q5_0 Q4_K Q4_1 Q4_0 Q3_K IQ4_NL IQ4_XS MXFP4 Q2_K\n\n"
     "  exaone quantize --type Q4_K_M ~/models/EXAONE-4.5-33B EXAONE-4.5-33B-Q4_K_M.gguf\n"
     "  exaone quantize --type Q4_K_S --tensor-type 'blk.*.attn_v.weight=Q8_0' BF16.gguf small.gguf",
     cmd_quantize},
    {"convert", "exaone convert [options] SOURCE TARGET.gguf", "Write a model as GGUF files without changing its types.",
     "A Hugging Face folder becomes a text file with tokenizer and chat template, and an mmproj file. A GGUF model is "
     "copied:\n"
     "with --split-size into pieces, without it a split one into a single file.\n\n"
     "  exaone convert ~/models/EXAONE-4.5-33B EXAONE-4.5-33B-BF16.gguf\n"
     "  exaone convert --split-size 4G EXAONE-4.5-33B-BF16.gguf pieces.gguf",
     cmd_convert},
    {"imatrix", "exaone imatrix [options] --text FILE | --cases FILE | --image FILE... -o OUT.gguf",
     "Measure which weights matter, for quantize --imatrix.",
     "Texts are read in chunks (decoder, output matrix and MTP block), cases and images answered (also the vision tower).\n"
     "The file is the ecosystem's GGUF importance matrix.\n\n"
     "  exaone imatrix -m BF16.gguf --text calibration.txt --image receipt.png -o imatrix.gguf\n"
     "  exaone imatrix --in-file one.gguf --in-file two.gguf -o both.gguf",
     cmd_imatrix},
    {"diff", "exaone diff [options] A B", "Compare two weight files tensor by tensor; with --text their predictions too.",
     "A and B are Hugging Face folders or GGUF files, of any types. The error is that of B against A.\n"
     "Exit code 1 when shapes differ or no tensor is in both.\n\n"
     "  exaone diff BF16.gguf Q4_K_M.gguf --imatrix imatrix.gguf --sort\n"
     "  exaone diff BF16.gguf Q4_K_M.gguf --no-tensors --text wiki.txt",
     cmd_diff},
    {"pull", "exaone pull [options] [REPO[:QUANT]]", "Fetch a model from the Hugging Face hub into its cache.",
     "Without REPO: " EXAONE_HUB_DEFAULT ". What was cut off is continued. The path of the model is printed. The cache is\n"
     "HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub; HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE count as "
     "well.\n\n"
     "  exaone pull\n"
     "  exaone pull LGAI-EXAONE/EXAONE-4.5-33B-GGUF:IQ4_XS --mmproj F16\n"
     "  exaone run -m LGAI-EXAONE/EXAONE-4.5-33B-GGUF:Q4_K_M \"Why is the sky blue?\"",
     cmd_pull},
    {"list", "exaone list [options]", "List the models in the Hugging Face cache.", "  exaone list --json", cmd_list},
    {"rm", "exaone rm [options] REPO[:QUANT]", "Remove a model from the Hugging Face cache.",
     "Without :QUANT the whole repository goes. Files that another quantisation needs stay.\n\n"
     "  exaone rm LGAI-EXAONE/EXAONE-4.5-33B-GGUF:Q4_K_M",
     cmd_rm},
    {"cache", "exaone cache [options] list|verify|clear", "Look at, check or empty the cache of evaluated prompts.",
     "chat keeps what it evaluated there, run with --cache-dir: a conversation or document met again is not read again.\n"
     "The folder is XDG_CACHE_HOME/exaone/prefix, else ~/.cache/exaone/prefix. verify removes broken entries.\n\n"
     "  exaone cache verify\n  exaone cache clear --cache-dir /var/tmp/exaone",
     cmd_cache},
    {"bench", "exaone bench [options]",
     "Measure the machine and a model on it, and how far the model is from the machine's limits.",
     "Every figure stands beside its wall: the time that nothing beats here, because so many bytes must be read or so many\n"
     "multiply-adds computed. Runs go in turn over everything; the table has medians. Nothing else should run meanwhile.\n\n"
     "What --only names: machine (no model), decode, pass (2 to 16 rows, as drafts and parallel requests make), prefill,\n"
     "context (decode and prefill behind 4K, 32K and 128K tokens), draft, image, video, load; or single ones: pass-4,\n"
     "prefill-512, decode-at-32K, image-896, video-16.\n\n"
     "What would the 33B do on this machine, before 20 GB are downloaded? Its shapes with random weights answer:\n\n"
     "  exaone bench --synthetic 33b                       all 64 layers, when memory allows\n"
     "  exaone bench --synthetic 33b:Q8_0 --layers 4       4 of them, scaled to 64\n"
     "  exaone bench -m MODEL.gguf --only decode,prefill-512 --threads 4 --json\n"
     "  exaone bench --synthetic 33b --layers 8 --write-gguf random.gguf    to time other programs on the same file",
     cmd_bench},
    {"version", "exaone version", "Show version and build features.", NULL, cmd_version},
    {"help", "exaone help [COMMAND]", "Show this list, or the help of a command.", NULL, cmd_help},
    {NULL, NULL, NULL, NULL, NULL},
};

int cli_fail(const exaone_error *err) {
    cli_progress_end();
    fprintf(stderr, "exaone: %s\n", err->message[0] ? err->message : exaone_status_text(err->code));
    return CLI_FAILED;
}

int cli_usage(const char *command, const char *fmt, ...) {
    va_list args;
    cli_progress_end();
    va_start(args, fmt);
    fprintf(stderr, "exaone: ");
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nTry: exaone %s --help\n", command);
    return CLI_USAGE;
}

void cli_note(const char *fmt, ...) {
    va_list args;
    cli_progress_end();
    va_start(args, fmt);
    fprintf(stderr, "exaone: ");
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

bool cli_quiet;

void cli_say(const char *fmt, ...) {
    va_list args;
    if (cli_quiet) {
        return;
    }
    cli_progress_end();
    va_start(args, fmt);
    fprintf(stderr, "exaone: ");
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

bool cli_color(void) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

bool cli_write(const char *bytes, size_t n) {
    if (fwrite(bytes, 1, n, stdout) == n && fflush(stdout) == 0) {
        return true;
    }
    cli_note("cannot write to standard output");
    return false;
}

volatile int cli_interrupted;

static void on_interrupt(int number) {
    if (cli_interrupted) {
        _exit(128 + number);
    }
    cli_interrupted = number;
}

void cli_catch_interrupt(void) {
    struct sigaction a = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) { /* ignored under nohup */
        sigaction(SIGHUP, &a, NULL);
    }
}

void cli_release_interrupt(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == on_interrupt) {
        signal(SIGHUP, SIG_DFL);
    }
}

int cli_interrupt_code(void) {
    return 128 + (cli_interrupted ? cli_interrupted : SIGINT);
}

static const cli_command *find(const char *name) {
    for (const cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static int unknown_command(const char *name) {
    if (name[0] == '-') {
        fprintf(stderr, "exaone: %s comes behind a command: exaone run %s ...\n", name, name);
        return CLI_USAGE;
    }
    const char *near = NULL;
    size_t best = 3;
    for (const cli_command *c = cli_commands; c->name; c++) {
        size_t d = cli_distance(name, c->name);
        if (d < best && d < strlen(name)) {
            best = d;
            near = c->name;
        }
    }
    fprintf(stderr,
            near ? "exaone: unknown command %s; did you mean %s?\n"
                 : "exaone: unknown command %s; `exaone help` lists them\n",
            name, near);
    return CLI_USAGE;
}

static void overview(FILE *to) {
    fprintf(to, "exaone: EXAONE 4.5 on your own machine: text, images and videos in, text out.\n\n"
                "Usage: exaone COMMAND [options]\n\nCommands:\n");
    for (const cli_command *c = cli_commands; c->name; c++) {
        fprintf(to, "  %-12s %s\n", c->name, c->summary);
    }
    fprintf(to, "\nAsk about an image:     exaone run --image FILE \"What does it say?\"\n"
                "Run a downloaded model: exaone run -m PATH \"...\"   (Hugging Face folder or GGUF file)\n"
                "Help of a command:      exaone COMMAND --help\n");
}

int cmd_help(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        overview(stdout);
        return CLI_OK;
    }
    const cli_command *c = find(argv[1]);
    if (!c) {
        return unknown_command(argv[1]);
    }
    char help[] = "--help";
    char *words[] = {argv[1], help, NULL};
    return c->run == cmd_help ? (overview(stdout), CLI_OK) : c->run(2, words);
}

int cmd_version(int argc, char **argv) {
    cli_command_line line;
    int code = cli_options_parse("version", NULL, 0, argc, argv, &line);
    if (code < 0 && line.n_words) {
        code = cli_usage("version", "unexpected argument %s", line.words[0]);
    }
    cli_options_release(NULL, 0, &line);
    if (code >= 0) {
        return code;
    }
    printf("exaone %s\n", exaone_version());
#if defined(EXAONE_HAVE_FFMPEG)
    printf("video: FFmpeg\n");
#else
    printf("video: built without FFmpeg\n");
#endif
    return CLI_OK;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is a write error, which is told */
    if (argc < 2) {
        overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        overview(stdout);
        return CLI_OK;
    }
    const cli_command *c = find(strcmp(name, "--version") == 0 ? "version" : name);
    if (!c) {
        return unknown_command(name);
    }
    int code = c->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 && code == CLI_OK) {
        cli_note("cannot write to standard output");
        code = CLI_FAILED;
    }
    return code;
}
