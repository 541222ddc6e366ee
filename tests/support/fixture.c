/* Reference data for tests: see fixture.h. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/sha256.h"

char *fixture_read(const char *path, size_t *size) {
    exaone_error err = {0};
    char *text = NULL;
    if (exaone_file_read(path, (size_t)1 << 30, &text, size, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return text;
}

static void read_tensor(fixture *f, const exaone_json *m, size_t data_start, fixture_tensor *t) {
    if (m->key_len >= sizeof t->name) {
        fail_msg("tensor name of %u bytes", (unsigned)m->key_len);
    }
    memcpy(t->name, m->key, m->key_len);
    fixture_string(m, "dtype", t->dtype, sizeof t->dtype);
    const exaone_json *shape = exaone_json_get(m, "shape"), *offsets = exaone_json_get(m, "data_offsets");
    int64_t v = 0, begin = 0, end = 0;
    for (const exaone_json *d = shape ? shape->first : NULL; d; d = d->next) {
        if (t->ndim == 8 || !exaone_json_int(d, &v)) {
            fail_msg("%s: bad shape", t->name);
        }
        t->shape[t->ndim++] = (uint64_t)v;
    }
    if (!offsets || offsets->len != 2 || !exaone_json_int(offsets->first, &begin) ||
        !exaone_json_int(offsets->first->next, &end) || begin < 0 || end < begin || (uint64_t)end > f->size - data_start) {
        fail_msg("%s: bad data_offsets", t->name);
    }
    t->bytes = (size_t)(end - begin);
    t->data = (const uint8_t *)f->file + data_start + begin;
}

void fixture_open(fixture *f, const char *path) {
    memset(f, 0, sizeof *f);
    f->file = fixture_read(path, &f->size);
    uint64_t header = 0;
    if (f->size >= 8) {
        memcpy(&header, f->file, 8);
    }
    if (f->size < 8 || header > f->size - 8) {
        fail_msg("%s is no safetensors file", path);
    }
    exaone_arena arena;
    exaone_arena_init(&arena, (size_t)1 << 28);
    exaone_error err = {0};
    exaone_json *root = NULL;
    if (exaone_json_parse(f->file + 8, (size_t)header, &arena, &root, &err) != EXAONE_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    f->tensors = calloc(root->len + 1, sizeof *f->tensors);
    assert_non_null(f->tensors);
    for (const exaone_json *m = root->first; m; m = m->next) {
        if (m->key_len != 12 || memcmp(m->key, "__metadata__", 12) != 0) {
            read_tensor(f, m, 8 + (size_t)header, &f->tensors[f->count++]);
        }
    }
    exaone_arena_release(&arena);
}

void fixture_close(fixture *f) {
    free(f->file);
    free(f->tensors);
    memset(f, 0, sizeof *f);
}

const fixture_tensor *fixture_find(const fixture *f, const char *name) {
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    return NULL;
}

const fixture_tensor *fixture_get(const fixture *f, const char *name, const char *dtype) {
    const fixture_tensor *t = fixture_find(f, name);
    if (!t) {
        fail_msg("no tensor %s", name);
    } else if (dtype && strcmp(t->dtype, dtype) != 0) {
        fail_msg("%s is %s, not %s", name, t->dtype, dtype);
    }
    return t;
}

uint64_t fixture_count(const fixture_tensor *t) {
    uint64_t n = 1;
    for (int i = 0; i < t->ndim; i++) {
        n *= t->shape[i];
    }
    return n;
}

void fixture_json_open(fixture_json *j, const char *path) {
    size_t size = 0;
    j->text = fixture_read(path, &size);
    exaone_arena_init(&j->arena, (size_t)1 << 29);
    exaone_error err = {0};
    if (exaone_json_parse(j->text, size, &j->arena, &j->root, &err) != EXAONE_OK) {
        fail_msg("%s: %s", path, err.message);
    }
}

void fixture_json_close(fixture_json *j) {
    exaone_arena_release(&j->arena);
    free(j->text);
    memset(j, 0, sizeof *j);
}

char *fixture_string(const exaone_json *object, const char *key, char *out, size_t size) {
    const exaone_json *s = exaone_json_get(object, key);
    if (!exaone_json_is(s, EXAONE_JSON_STRING) || s->len >= size) {
        fail_msg("%s: no string of less than %zu bytes", key, size);
    } else {
        memcpy(out, s->text, s->len);
        out[s->len] = '\0';
    }
    return out;
}

int64_t fixture_int(const exaone_json *object, const char *key) {
    int64_t v = 0;
    if (!exaone_json_int(exaone_json_get(object, key), &v)) {
        fail_msg("%s: no integer", key);
    }
    return v;
}

void fixture_sha256(const void *data, size_t size, char hex[65]) {
    uint8_t digest[32];
    exaone_sha256(data, size, digest);
    for (int i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}
