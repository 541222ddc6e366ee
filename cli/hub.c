/* Where the cache of the Hugging Face hub is, who the user is there, and models by name. */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli.h"

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* snprintf of two parts with '/' between; "~" at the beginning is the home folder. False: no room or no home. */
static bool join(char *out, size_t room, const char *a, const char *b) {
    const char *home = a[0] == '~' && (!a[1] || a[1] == '/') ? variable("HOME") : "";
    if (!home) {
        cli_note("HOME is not set, so ~ has no meaning; set HF_HUB_CACHE");
        return false;
    }
    int n = snprintf(out, room, "%s%s%s%s", home, home[0] ? a + 1 : a, b[0] ? "/" : "", b);
    if (n < 0 || (size_t)n >= room) {
        cli_note("the path %.60s... is longer than %zu bytes", a, room - 1);
        return false;
    }
    while (n > 1 && out[n - 1] == '/') {
        out[--n] = 0;
    }
    return true;
}

static bool home_folder(char *out, size_t room) {
    const char *home = variable("HF_HOME"), *xdg = variable("XDG_CACHE_HOME");
    return home ? join(out, room, home, "") : join(out, room, xdg ? xdg : "~/.cache", "huggingface");
}

static bool is_true(const char *name) {
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = variable(name);
    for (size_t i = 0; value && i < CLI_COUNT(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* HF_TOKEN, else the file that `hf auth login` writes. */
static bool read_token(cli_hub *hub, const char *home) {
    const char *given = variable("HF_TOKEN") ? variable("HF_TOKEN") : variable("HUGGING_FACE_HUB_TOKEN");
    char path[4200], *text = NULL;
    size_t n = 0;
    if (!given && !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        const char *file = variable("HF_TOKEN_PATH");
        if (!(file ? join(path, sizeof path, file, "") : join(path, sizeof path, home, "token"))) {
            return false;
        }
        exaone_error err;
        given = exaone_file_exists(path) && exaone_file_read(path, 1 << 16, &text, &n, &err) == EXAONE_OK ? text : "";
    }
    given = given ? given : "";
    n = strlen(given);
    while (n > 0 && strchr(" \t\r\n", given[n - 1])) {
        n--;
    }
    while (n > 0 && strchr(" \t\r\n", given[0])) {
        given++;
        n--;
    }
    bool fits = n < sizeof hub->token;
    if (fits) {
        memcpy(hub->token, given, n);
        hub->token[n] = 0;
    } else {
        cli_note("the access token has %zu characters, more than %zu", n, sizeof hub->token - 1);
    }
    free(text);
    return fits;
}

bool cli_hub_init(cli_hub *hub) {
    memset(hub, 0, sizeof *hub);
    exaone_hub_options_init(&hub->options);
    exaone_hub_options *o = &hub->options;
    char home[4096];
    const char *cache = variable("HF_HUB_CACHE") ? variable("HF_HUB_CACHE") : variable("HUGGINGFACE_HUB_CACHE");
    if (!home_folder(home, sizeof home) ||
        !(cache ? join(hub->cache, sizeof hub->cache, cache, "") : join(hub->cache, sizeof hub->cache, home, "hub")) ||
        !read_token(hub, home)) {
        return false;
    }
    o->cache = hub->cache;
    o->token = hub->token[0] ? hub->token : NULL;
    o->endpoint = variable("HF_ENDPOINT");
    o->offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
    bool https = !o->endpoint || strncasecmp(o->endpoint, "https:", 6) == 0;
    /* HTTP_PROXY in capitals is not used, as in curl: a web server's CGI programs get it from the client. */
    const char *const names[] = {https ? "https_proxy" : "http_proxy", https ? "HTTPS_PROXY" : "http_proxy", "all_proxy",
                                 "ALL_PROXY"};
    for (size_t i = 0; i < CLI_COUNT(names) && !o->proxy; i++) {
        o->proxy = variable(names[i]);
    }
    o->no_proxy = variable("no_proxy") ? variable("no_proxy") : variable("NO_PROXY");
    o->ca_file = variable("CURL_CA_BUNDLE") ? variable("CURL_CA_BUNDLE") : variable("SSL_CERT_FILE");
    o->ca_file = o->ca_file ? o->ca_file : variable("REQUESTS_CA_BUNDLE");
    o->cancel = &cli_interrupted;
    return true;
}

const char *cli_hub_size(unsigned long long bytes, char out[32]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < CLI_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 32, unit == 0 || value >= 99.5 ? "%.0f %s" : value >= 9.95 ? "%.1f %s" : "%.2f %s", value, units[unit]);
    return out;
}

const char *cli_hub_model(const char *given) {
    static char found[8192];
    struct stat st;
    exaone_hub_name name;
    if (stat(given, &st) == 0 || exaone_hub_name_parse(given, &name, &(exaone_error){0}) != EXAONE_OK) {
        return given;
    }
    cli_hub hub;
    if (!cli_hub_init(&hub)) {
        return NULL;
    }
    char *path = NULL;
    exaone_error err = {0};
    if (exaone_hub_find(&name, hub.cache, NULL, &path, &err) != EXAONE_OK) {
        cli_note("there is no file or folder %s, and as a model's name: %s", given, err.message);
        return NULL;
    }
    size_t n = strlen(path);
    if (n < sizeof found) {
        memcpy(found, path, n + 1);
    } else {
        cli_note("the path of %s has %zu bytes, more than %zu", given, n, sizeof found - 1);
    }
    free(path);
    return n < sizeof found ? found : NULL;
}
