/* `exaone cache`: what the folder of the prefix cache holds, whether it is whole, and emptying it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "hub.h"
#include "prefix.h"

enum { MAX_TEXT = 1 << 20 };

static const char *date_of(int64_t seconds, char out[32]) {
    struct tm parts;
    time_t t = (time_t)seconds;
    if (!localtime_r(&t, &parts) || strftime(out, 32, "%Y-%m-%d %H:%M", &parts) == 0) {
        snprintf(out, 32, "?");
    }
    return out;
}

static int print(const char *dir, const exaone_cache_summary *sum, bool verified, bool json) {
    exaone_buf b;
    char stored[32], size[32], oldest[32], newest[32];
    exaone_buf_init(&b, MAX_TEXT);
    if (json) {
        exaone_buf_puts(&b, "{\"path\": ");
        exaone_json_put_string(&b, dir, strlen(dir));
        exaone_buf_printf(&b, ", \"entries\": %llu, \"stored\": %llu, \"size\": %llu, \"%s\": %llu",
                          (unsigned long long)sum->entries, (unsigned long long)sum->stored, (unsigned long long)sum->size,
                          verified ? "removed" : "broken", (unsigned long long)sum->broken);
        exaone_buf_printf(&b, ", \"oldest\": %lld, \"newest\": %lld}\n", (long long)sum->oldest, (long long)sum->newest);
    } else if (sum->entries == 0) {
        exaone_buf_printf(&b, "%s: empty\n", dir);
    } else {
        exaone_buf_printf(&b, "%s: %llu entries, %s on disk for %s, last used between %s and %s\n", dir,
                          (unsigned long long)sum->entries, cli_hub_size(sum->stored, stored), cli_hub_size(sum->size, size),
                          date_of(sum->oldest, oldest), date_of(sum->newest, newest));
    }
    if (!json && (verified || sum->broken)) {
        exaone_buf_printf(
            &b, verified ? "%llu broken entries, removed\n" : "%llu broken entries; `exaone cache verify` removes them\n",
            (unsigned long long)sum->broken);
    }
    bool ok = !b.failed && cli_write(b.data, b.len);
    exaone_buf_release(&b);
    return !ok || (verified && sum->broken) ? CLI_FAILED : CLI_OK;
}

static int clear(const char *dir, bool json) {
    exaone_error err = {0};
    uint64_t n = 0;
    if (exaone_cache_clear(dir, &n, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    printf(json ? "{\"removed\": %llu}\n" : "%llu entries removed\n", (unsigned long long)n);
    return CLI_OK;
}

int cmd_cache(int argc, char **argv) {
    bool json = false;
    const char *dir = NULL;
    const cli_option options[] = {
        {"--cache-dir", NULL, OPT_TEXT, &dir, 0, 0, "DIR", "the folder (default: the one that chat uses)"},
        {"--json", NULL, OPT_FLAG, &json, 0, 0, NULL, "for programs"},
    };
    cli_command_line line;
    int code = cli_options_parse("cache", options, CLI_COUNT(options), argc, argv, &line);
    const char *what = code < 0 && line.n_words == 1 ? line.words[0] : "";
    bool verifies = strcmp(what, "verify") == 0;
    if (code < 0 && !verifies && strcmp(what, "list") != 0 && strcmp(what, "clear") != 0) {
        code = cli_usage("cache", "want one of list, verify and clear");
    } else if (code < 0 && dir && !*dir) {
        code = cli_usage("cache", "--cache-dir: the name is empty");
    }
    dir = dir || code >= 0 ? dir : cli_prefix_folder();
    if (code < 0 && !dir) {
        cli_note("neither XDG_CACHE_HOME nor HOME is set: give --cache-dir");
        code = CLI_FAILED;
    }
    if (code < 0 && strcmp(what, "clear") == 0) {
        code = clear(dir, json);
    } else if (code < 0) {
        exaone_error err = {0};
        exaone_cache_summary sum;
        code =
            exaone_cache_inspect(dir, verifies, &sum, &err) == EXAONE_OK ? print(dir, &sum, verifies, json) : cli_fail(&err);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
