/* The hub's lists of files and what is chosen from them: any bytes give files with checked names, or an error. The first
 * byte says which answer the rest is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/hub_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void choose(const exaone_hub_listing *listing, const char *quant) {
    const char **paths = malloc((listing->n + 1) * sizeof *paths);
    exaone_hub_name name = {.repo = "o/m"};
    exaone_hub_choice choice;
    exaone_error err = {0};
    memcpy(name.quant, quant, strlen(quant) + 1);
    for (size_t i = 0; paths && i < listing->n; i++) {
        paths[i] = listing->items[i].path;
    }
    if (paths && !exaone_hub_choose(paths, listing->n, &name, NULL, "x", &choice, &err)) {
        if (!choice.folder && (choice.main >= listing->n || choice.role[choice.main] != EXAONE_HUB_MODEL)) {
            abort();
        }
        free(choice.role);
    } else if (paths) {
        free(choice.role);
        if (!err.message[0]) {
            abort();
        }
    }
    free(paths);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_hub_listing listing;
    exaone_error err = {0};
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    exaone_hub_listing_init(&listing);
    if (data[0] == 'r') {
        if (!exaone_hub_listing_read_revision(&listing, text, size - 1, &err) && strlen(listing.commit) != 40) {
            abort();
        }
    } else if (!exaone_hub_listing_read_tree(&listing, text, size - 1, &err) && !exaone_hub_listing_finish(&listing, &err)) {
        for (size_t i = 0; i < listing.n; i++) {
            const char *path = listing.items[i].path;
            if (exaone_hub_path_check(path, strlen(path), NULL) || path[0] == '/' || strstr(path, "/../")) {
                abort();
            }
        }
        choose(&listing, "");
        choose(&listing, "Q4_K_M");
    } else if (!err.message[0]) {
        abort();
    }
    exaone_hub_listing_release(&listing);
    return 0;
}
