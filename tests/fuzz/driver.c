/* Replays a corpus through a fuzz target without libFuzzer: every file of the folders and every file named on the command
 * line, and the empty input. The target signals a fault by crashing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly the file's bytes in an allocation of that size, so that a sanitizer sees the first byte read too far. */
static int replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        if (f) {
            fclose(f);
        }
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    int status = -1;
    if (data && fread(data, 1, size, f) == size) {
        printf("%s\n", path);
        fflush(stdout); /* a crash then shows whose it is */
        LLVMFuzzerTestOneInput(data, size);
        status = 0;
    } else {
        perror(path);
    }
    free(data);
    fclose(f);
    return status;
}

/* The number of files replayed, or -1. */
static long replay_folder(const char *path) {
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        perror(path);
        return -1;
    }
    long count = 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && count >= 0) {
            count = length < (int)sizeof file && replay_file(file) == 0 ? count + 1 : -1;
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv) {
    long total = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        long count = folder ? replay_folder(argv[i]) : replay_file(argv[i]) == 0 ? 1 : -1;
        if (count <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], count == 0 ? "an empty corpus proves nothing" : "not replayed");
            return 1;
        }
        total += count;
    }
    printf("%ld inputs replayed\n", total);
    return 0;
}
