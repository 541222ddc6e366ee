/* Compares two safetensors files: every tensor of WANTED whose name begins with PREFIX must stand in GOT without the prefix,
 * with the same shape; integers equal, floats within BOUND (relative L2).
 *
 *   sametensors GOT WANTED PREFIX BOUND SKIP...     names in SKIP are inputs, which GOT does not hold
 *
 * Prints how many were compared and the worst distance; exit 1 when one differs, is missing, or none was compared. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/tensors.h"

static bool same_shape(const exaone_tensor *a, const exaone_tensor *b) {
    return exaone_tensor_elements(a) == exaone_tensor_elements(b) && a->dtype == b->dtype;
}

static double distance(const exaone_tensor *a, const exaone_tensor *b) {
    if (a->dtype != EXAONE_F32) {
        return memcmp(a->data, b->data, a->bytes) == 0 ? 0 : INFINITY;
    }
    const float *x = a->data, *y = b->data;
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < exaone_tensor_elements(a); i++) {
        difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        norm += (double)y[i] * (double)y[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

/* A name of the list, or below a name that ends in '*'. */
static bool listed(char **names, int n, const char *name) {
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        bool open = len && names[i][len - 1] == '*';
        if (open ? strncmp(names[i], name, len - 1) == 0 : strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv) {
    exaone_error err;
    exaone_tensors *got = NULL, *wanted = NULL;
    if (argc < 5) {
        fprintf(stderr, "usage: sametensors GOT WANTED PREFIX BOUND SKIP...\n");
        return 2;
    }
    if (exaone_tensors_load(argv[1], &got, &err) != EXAONE_OK || exaone_tensors_load(argv[2], &wanted, &err) != EXAONE_OK) {
        fprintf(stderr, "%s\n", err.message);
        exaone_tensors_free(got);
        return 1;
    }
    double bound = strtod(argv[4], NULL), worst = 0;
    size_t n = 0, bad = 0, prefix = strlen(argv[3]);
    const char *worst_name = "";
    for (size_t i = 0; i < exaone_tensors_count(wanted); i++) {
        const exaone_tensor *w = exaone_tensors_at(wanted, i);
        if (strncmp(w->name, argv[3], prefix) != 0 || listed(argv + 5, argc - 5, w->name + prefix)) {
            continue;
        }
        const exaone_tensor *g = exaone_tensors_get(got, w->name + prefix);
        double d = g && same_shape(g, w) ? distance(g, w) : INFINITY;
        n++;
        if (!(d <= bound)) {
            bad++;
            printf("%s: %s\n", w->name, !g ? "missing" : !same_shape(g, w) ? "another shape" : "differs");
        }
        if (d > worst) {
            worst = d;
            worst_name = w->name;
        }
    }
    printf("%zu tensors, worst %.2e %s\n", n, worst, worst_name);
    exaone_tensors_free(got);
    exaone_tensors_free(wanted);
    return bad || n == 0;
}
