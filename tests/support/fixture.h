/* For tests: reference data on disk. A safetensors file by tensor name, a JSON file, digests of arrays.
 * Faults of the files end the running test (cmocka's fail_msg): a fixture is part of the source. */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

typedef struct fixture_tensor {
    char name[128];
    char dtype[8]; /* "F32", "I64", "U8", … as in the file */
    int ndim;
    uint64_t shape[8];
    size_t bytes;
    const uint8_t *data; /* little endian, row-major; belongs to the fixture; perhaps not aligned to its type */
} fixture_tensor;

typedef struct fixture {
    char *file;
    size_t size;
    fixture_tensor *tensors;
    size_t count;
} fixture;

void fixture_open(fixture *f, const char *path);
void fixture_close(fixture *f);
/* The tensor, or NULL. */
const fixture_tensor *fixture_find(const fixture *f, const char *name);
/* The tensor; fails the test when it is absent or has another dtype (dtype NULL: any). */
const fixture_tensor *fixture_get(const fixture *f, const char *name, const char *dtype);
uint64_t fixture_count(const fixture_tensor *t); /* elements */

/* A JSON file and its tree. */
typedef struct fixture_json {
    char *text;
    exaone_arena arena;
    exaone_json *root;
} fixture_json;

void fixture_json_open(fixture_json *j, const char *path);
void fixture_json_close(fixture_json *j);
/* Copies a JSON string (must hold no NUL and fit); fails the test when it is absent or no string. Returns out. */
char *fixture_string(const exaone_json *object, const char *key, char *out, size_t size);
int64_t fixture_int(const exaone_json *object, const char *key); /* fails the test when it is absent or no integer */

/* A whole file, NUL-terminated; free() it. Fails the test when it cannot be read. */
char *fixture_read(const char *path, size_t *size);

/* Lower-case hex of the SHA-256 of some bytes. */
void fixture_sha256(const void *data, size_t size, char hex[65]);

#endif
