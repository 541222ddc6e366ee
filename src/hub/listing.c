/* What the hub says about a repository: its commit and its files, read from JSON of a stranger.
 *
 * Formats: GET /api/models/REPO/revision/REV gives an object with "sha", "gated", "cardData"; GET
 * /api/models/REPO/tree/COMMIT?recursive=true an array of {"type", "path", "size", "oid", "lfs": {"oid", "size"}}
 * (huggingface.co/docs/hub/api). For large files lfs.oid is the SHA-256 of the content and the name of the blob in the
 * cache; for small ones it is `oid`, git's SHA-1. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { MAX_JSON_MEMORY = 256 << 20, MAX_LICENSE = 300 };

void exaone_hub_listing_init(exaone_hub_listing *listing) {
    *listing = (exaone_hub_listing){.license = "", .license_link = ""};
    exaone_arena_init(&listing->arena, EXAONE_HUB_MAX_LISTING);
}

void exaone_hub_listing_release(exaone_hub_listing *listing) {
    exaone_arena_release(&listing->arena);
    free(listing->items);
    listing->items = NULL;
    listing->n = listing->room = 0;
}

/* A text of the model card for people: cut, without control characters; "" when it is none. NULL when out of memory. */
static const char *card_text(exaone_hub_listing *listing, const exaone_json *j) {
    if (!exaone_json_is(j, EXAONE_JSON_STRING)) {
        return "";
    }
    char *text = exaone_arena_string(&listing->arena, j->text, j->len < MAX_LICENSE ? j->len : 0);
    for (char *c = text; c && *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return text;
}

static exaone_status read_revision(exaone_hub_listing *listing, const exaone_json *root, exaone_error *err) {
    const exaone_json *sha = exaone_json_get(root, "sha"), *gated = exaone_json_get(root, "gated");
    if (!exaone_json_is(sha, EXAONE_JSON_STRING) || !exaone_hub_is_hex(sha->text, sha->len, 40)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the answer's \"sha\" is not a commit of 40 hexadecimal digits");
    }
    memcpy(listing->commit, sha->text, 40);
    listing->gated = gated && gated->type != EXAONE_JSON_FALSE && gated->type != EXAONE_JSON_NULL;
    const exaone_json *card = exaone_json_get(root, "cardData"), *license = exaone_json_get(card, "license");
    if (!license || exaone_json_equals(license, "other")) {
        const exaone_json *name = exaone_json_get(card, "license_name");
        license = name ? name : license;
    }
    listing->license = card_text(listing, license);
    listing->license_link = card_text(listing, exaone_json_get(card, "license_link"));
    return listing->license && listing->license_link ? EXAONE_OK
                                                     : exaone_fail_memory(err, "the licence's name", MAX_LICENSE);
}

static bool read_size(const exaone_json *j, uint64_t *out) {
    int64_t size;
    if (!exaone_json_int(j, &size) || size < 0 || (uint64_t)size > EXAONE_HUB_MAX_SIZE) {
        return false;
    }
    *out = (uint64_t)size;
    return true;
}

static exaone_status read_hash(const exaone_json *entry, exaone_hub_item *item, exaone_error *err) {
    const exaone_json *lfs = exaone_json_get(entry, "lfs");
    bool large = exaone_json_is(lfs, EXAONE_JSON_OBJECT);
    const exaone_json *oid = exaone_json_get(large ? lfs : entry, "oid");
    if (large && (!oid || oid->type != EXAONE_JSON_STRING)) {
        oid = exaone_json_get(lfs, "sha256");
    }
    size_t digits = large ? 64 : 40;
    if (!exaone_json_is(oid, EXAONE_JSON_STRING) || !exaone_hub_is_hex(oid->text, oid->len, digits)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the hash is not %zu lower-case hexadecimal digits", item->path,
                           digits);
    }
    memcpy(item->hash, oid->text, digits);
    uint64_t size;
    const exaone_json *lfs_size = large ? exaone_json_get(lfs, "size") : NULL;
    if (lfs_size && (!read_size(lfs_size, &size) || size != item->size)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: two sizes are given, %llu and another", item->path,
                           (unsigned long long)item->size);
    }
    return EXAONE_OK;
}

static exaone_status read_entry(exaone_hub_listing *listing, const exaone_json *entry, exaone_error *err) {
    const exaone_json *path = exaone_json_get(entry, "path"), *type = exaone_json_get(entry, "type");
    if (!exaone_json_is(path, EXAONE_JSON_STRING) || !exaone_json_is(type, EXAONE_JSON_STRING)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "entry %zu of the list of files has no \"path\" or no \"type\"",
                           listing->n);
    }
    if (!exaone_json_equals(type, "file")) {
        return EXAONE_OK;
    }
    exaone_status status = exaone_hub_path_check(path->text, path->len, err);
    if (status) {
        return status;
    }
    if (listing->n == EXAONE_HUB_MAX_FILES) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the repository has more than %d files", EXAONE_HUB_MAX_FILES);
    }
    exaone_hub_item *items = exaone_mem_grow(listing->items, listing->n, &listing->room, sizeof *items);
    if (!items) {
        return exaone_fail_memory(err, "the list of files", 2 * listing->room * sizeof *items);
    }
    listing->items = items;
    exaone_hub_item *item = &listing->items[listing->n];
    *item = (exaone_hub_item){.path = exaone_arena_string(&listing->arena, path->text, path->len)};
    if (!item->path) {
        return exaone_fail_memory(err, "the list of files", path->len);
    }
    if (!read_size(exaone_json_get(entry, "size"), &item->size)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the size is no whole number from 0 to %llu", item->path,
                           (unsigned long long)EXAONE_HUB_MAX_SIZE);
    }
    status = read_hash(entry, item, err);
    listing->n += status == EXAONE_OK;
    return status;
}

static exaone_status read_tree(exaone_hub_listing *listing, const exaone_json *root, exaone_error *err) {
    exaone_status status = EXAONE_OK;
    for (const exaone_json *entry = root->first; entry && !status; entry = entry->next) {
        status = read_entry(listing, entry, err);
    }
    return status;
}

static exaone_status read_json(exaone_hub_listing *listing, const char *text, size_t n, exaone_json_type want,
                               exaone_status (*reader)(exaone_hub_listing *, const exaone_json *, exaone_error *),
                               exaone_error *err) {
    exaone_arena arena;
    exaone_json *root;
    exaone_arena_init(&arena, MAX_JSON_MEMORY);
    exaone_status status = exaone_json_parse(text, n, &arena, &root, err);
    if (!status && root->type != want) {
        status = exaone_fail(err, EXAONE_ERR_FORMAT, "the answer is no %s", want == EXAONE_JSON_ARRAY ? "array" : "object");
    }
    if (!status) {
        status = reader(listing, root, err);
    }
    exaone_arena_release(&arena);
    return status;
}

exaone_status exaone_hub_listing_read_revision(exaone_hub_listing *listing, const char *text, size_t n, exaone_error *err) {
    return read_json(listing, text, n, EXAONE_JSON_OBJECT, read_revision, err);
}

exaone_status exaone_hub_listing_read_tree(exaone_hub_listing *listing, const char *text, size_t n, exaone_error *err) {
    return read_json(listing, text, n, EXAONE_JSON_ARRAY, read_tree, err);
}

static int item_order(const void *a, const void *b) {
    return strcmp(((const exaone_hub_item *)a)->path, ((const exaone_hub_item *)b)->path);
}

exaone_status exaone_hub_listing_finish(exaone_hub_listing *listing, exaone_error *err) {
    if (listing->n > 1) {
        qsort(listing->items, listing->n, sizeof *listing->items, item_order);
    }
    for (size_t i = 1; i < listing->n; i++) {
        if (strcmp(listing->items[i - 1].path, listing->items[i].path) == 0) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "the list of files has %.200s twice", listing->items[i].path);
        }
    }
    return EXAONE_OK;
}
