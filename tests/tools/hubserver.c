/* A hub for the scripts: serves files of this folder tree as the repository org/tiny-GGUF, on a port of 127.0.0.1.
 *
 *   hubserver PORTFILE [KEY=N...] [token=TEXT] NAME=FILE...
 *
 * Writes its port into PORTFILE and runs until it is ended. KEY: cut_after, cuts, wrong, busy, retry_after, slow_ms,
 * redirect, no_ranges. Files that begin with "GGUF" or are larger than 10,000 bytes count as large ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/hub_server.h"

static bool set(hub_server *s, const char *key, size_t n, const char *value) {
    static const char *const names[] = {"cuts", "wrong", "busy", "slow_ms"};
    _Atomic int *const places[] = {&s->cuts, &s->wrong, &s->busy, &s->slow_ms};
    long v = strtol(value, NULL, 10);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], key, n) == 0) {
            *places[i] = (int)v;
            return true;
        }
    }
    if (n == 9 && memcmp(key, "cut_after", n) == 0) {
        s->cut_after = v;
    } else if (n == 11 && memcmp(key, "retry_after", n) == 0) {
        s->retry_after = v;
    } else if (n == 8 && memcmp(key, "redirect", n) == 0) {
        s->redirect = v != 0;
    } else if (n == 9 && memcmp(key, "no_ranges", n) == 0) {
        s->no_ranges = v != 0;
    } else if (n == 5 && memcmp(key, "token", n) == 0) {
        s->token = value;
    } else {
        return false;
    }
    return true;
}

static int add(hub_server *s, const char *name, size_t n, const char *file) {
    char path[200];
    FILE *f = fopen(file, "rb");
    static uint8_t bytes[64 << 20];
    size_t got = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (!f || n >= sizeof path || s->n_files == sizeof s->files / sizeof *s->files) {
        fprintf(stderr, "hubserver: cannot serve %s\n", file);
        return 1;
    }
    fclose(f);
    memcpy(path, name, n);
    path[n] = 0;
    hub_server_add(s, path, got > 10000 || (got >= 4 && memcmp(bytes, "GGUF", 4) == 0), bytes, got);
    return 0;
}

int main(int argc, char **argv) {
    static hub_server s;
    hub_server_init(&s);
    s.repo = "org/tiny-GGUF";
    for (int i = 2; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (!equals || (!set(&s, argv[i], (size_t)(equals - argv[i]), equals + 1) &&
                        add(&s, argv[i], (size_t)(equals - argv[i]), equals + 1))) {
            return 2;
        }
    }
    FILE *f = argc > 1 && hub_server_start(&s, 0) ? fopen(argv[1], "w") : NULL;
    if (!f) {
        fprintf(stderr, "hubserver: cannot listen or write the port\n");
        return 1;
    }
    fprintf(f, "%d\n", s.port);
    fclose(f);
    for (;;) {
        pause();
    }
}
