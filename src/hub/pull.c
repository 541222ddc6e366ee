/* Bringing a model into the cache: the plan, then file after file, each locked, continued, verified and linked.
 *
 * Layout and order of writing as in huggingface_hub: blobs/HASH.incomplete grows under .locks/…/HASH.lock, is renamed to
 * blobs/HASH when its hash is right, and gets a relative link in the snapshot; refs/REVISION is written last, so that it
 * never names a snapshot that is not whole. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { MAX_PAGES = 1000, READ_BYTES = 1 << 20, LOCK_POLL_MS = 200, DISK_RESERVE = 64 << 20 };

/* ---- the plan ---- */

void exaone_hub_plan_free(exaone_hub_plan *plan) {
    for (size_t i = 0; i < plan->n_files; i++) {
        free(plan->files[i].path);
    }
    free(plan->files);
    free(plan->snapshot);
    free(plan->model);
    free(plan->license);
    free(plan->license_link);
    *plan = (exaone_hub_plan){0};
}

/* ENDPOINT/api/models/REPO/KIND/REVISION… in *url (cleared first). */
static exaone_status api_url(const exaone_hub_net *net, const char *repo, const char *kind, const char *revision,
                             const char *query, exaone_buf *url, exaone_error *err) {
    exaone_buf_clear(url);
    exaone_buf_printf(url, "%s/api/models/%s/%s/", net->endpoint, repo, kind);
    exaone_hub_put_encoded(url, revision, false);
    exaone_buf_puts(url, query);
    return exaone_buf_check(url, "a URL", err);
}

static exaone_status read_pages(exaone_hub_net *net, exaone_hub_listing *listing, exaone_buf *url, const char *what,
                                exaone_buf *body, exaone_error *err) {
    char *page = exaone_mem_string(url->data, url->len);
    exaone_status status = page ? EXAONE_OK : exaone_fail_memory(err, "a URL", url->len);
    for (int i = 0; page && !status; i++) {
        char *next = NULL;
        if (i == MAX_PAGES) {
            status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s: the list of files has more than %d pages", what, MAX_PAGES);
        } else {
            status = exaone_hub_get(net, page, what, body, &next, err);
        }
        if (!status) {
            status = exaone_hub_listing_read_tree(listing, body->data ? body->data : "", body->len, err);
            status = status ? exaone_fail_context(err, status, "%s", what) : EXAONE_OK;
        }
        free(page);
        page = next;
    }
    free(page);
    return status ? status : exaone_hub_listing_finish(listing, err);
}

static exaone_status ask(exaone_hub_net *net, const char *repo, exaone_hub_listing *listing, exaone_error *err) {
    const char *revision = net->o->revision ? net->o->revision : "main";
    char what[400], *next = NULL;
    exaone_buf url, body;
    exaone_buf_init(&url, EXAONE_HUB_MAX_URL);
    exaone_buf_init(&body, EXAONE_HUB_MAX_ANSWER);
    snprintf(what, sizeof what, "%s%s%s", repo, net->o->revision ? " at revision " : "", net->o->revision ? revision : "");
    exaone_status status = api_url(net, repo, "revision", revision, "", &url, err);
    if (!status) {
        status = exaone_hub_get(net, url.data, what, &body, &next, err);
        free(next);
    }
    if (!status) {
        status = exaone_hub_listing_read_revision(listing, body.data ? body.data : "", body.len, err);
        status = status ? exaone_fail_context(err, status, "%s", what) : EXAONE_OK;
    }
    if (!status) {
        status = api_url(net, repo, "tree", listing->commit, "?recursive=true&expand=false", &url, err);
    }
    if (!status) {
        status = read_pages(net, listing, &url, what, &body, err);
    }
    exaone_buf_release(&url);
    exaone_buf_release(&body);
    return status;
}

static bool file_size(const char *path, bool follow, uint64_t *size) {
    struct stat st;
    if ((follow ? stat(path, &st) : lstat(path, &st)) != 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    *size = (uint64_t)st.st_size;
    return true;
}

static char *incomplete_path(const char *repo_dir, const char *hash) {
    char name[80];
    snprintf(name, sizeof name, "%s.incomplete", hash);
    return exaone_hub_path3(repo_dir, "blobs", name);
}

/* file->have and file->linked from what is on disk. */
static exaone_status look(const char *repo_dir, const char *snapshot, exaone_hub_file *f, exaone_error *err) {
    char *blob = exaone_hub_path3(repo_dir, "blobs", f->hash), *part = incomplete_path(repo_dir, f->hash);
    char *link = exaone_hub_path2(snapshot, f->path);
    exaone_status status = blob && part && link ? EXAONE_OK : exaone_fail_memory(err, f->path, 0);
    uint64_t size;
    f->have = 0;
    f->linked = false;
    if (!status) {
        f->linked = file_size(link, true, &size) && size == f->size;
        if (f->linked || (file_size(blob, false, &size) && size == f->size)) {
            f->have = f->size;
        } else if (file_size(part, false, &size) && size <= f->size) {
            f->have = size;
        }
    }
    free(blob);
    free(part);
    free(link);
    return status;
}

/* Settings first, then the mmproj, then the weights, each by path (the listing is sorted). */
static exaone_status fill_files(exaone_hub_plan *plan, const exaone_hub_listing *listing, const exaone_hub_choice *choice,
                                const char *repo_dir, exaone_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < listing->n; i++) {
        n += choice->role[i] != EXAONE_HUB_SKIP;
    }
    plan->files = exaone_mem_array(n, sizeof *plan->files);
    if (!plan->files) {
        return exaone_fail_memory(err, "the plan", n * sizeof *plan->files);
    }
    exaone_status status = EXAONE_OK;
    for (int role = EXAONE_HUB_SIDE; role <= EXAONE_HUB_MODEL; role++) {
        for (size_t i = 0; i < listing->n && !status; i++) {
            if (choice->role[i] != role) {
                continue;
            }
            const exaone_hub_item *item = &listing->items[i];
            exaone_hub_file *f = &plan->files[plan->n_files];
            *f = (exaone_hub_file){.size = item->size, .model = role == EXAONE_HUB_MODEL};
            memcpy(f->hash, item->hash, sizeof f->hash);
            f->path = exaone_mem_string(item->path, strlen(item->path));
            if (!f->path) {
                return exaone_fail_memory(err, "the plan", strlen(item->path));
            }
            plan->n_files++;
            status = look(repo_dir, plan->snapshot, f, err);
            if (f->size > EXAONE_HUB_MAX_SIZE - plan->total_bytes && !status) {
                status = exaone_fail(err, EXAONE_ERR_LIMIT, "the files have together more than %llu bytes",
                                     (unsigned long long)EXAONE_HUB_MAX_SIZE);
            } else {
                plan->total_bytes += f->size;
                plan->fetch_bytes += f->size - f->have;
            }
        }
    }
    return status;
}

static exaone_status fill_plan(exaone_hub_plan *plan, const exaone_hub_listing *listing, const exaone_hub_choice *choice,
                               const char *repo_dir, exaone_error *err) {
    memcpy(plan->commit, listing->commit, 41);
    plan->gated = listing->gated;
    plan->snapshot = exaone_hub_path3(repo_dir, "snapshots", plan->commit);
    plan->license = exaone_mem_string(listing->license, strlen(listing->license));
    plan->license_link = exaone_mem_string(listing->license_link, strlen(listing->license_link));
    if (!plan->snapshot || !plan->license || !plan->license_link) {
        return exaone_fail_memory(err, "the plan", 0);
    }
    plan->model = choice->folder ? exaone_mem_string(plan->snapshot, strlen(plan->snapshot))
                                 : exaone_hub_path2(plan->snapshot, listing->items[choice->main].path);
    if (!plan->model) {
        return exaone_fail_memory(err, "the plan", 0);
    }
    if (!choice->folder) {
        snprintf(plan->name.quant, sizeof plan->name.quant, "%s", choice->quant);
    }
    return fill_files(plan, listing, choice, repo_dir, err);
}

static exaone_status plan_online(const exaone_hub_name *name, const exaone_hub_options *options, const char *repo_dir,
                                 exaone_hub_plan *plan, exaone_error *err) {
    exaone_hub_net net;
    exaone_status status = exaone_hub_net_open(&net, options, err);
    if (status) {
        return status;
    }
    exaone_hub_listing listing;
    exaone_hub_choice choice = {0};
    exaone_hub_listing_init(&listing);
    status = ask(&net, name->repo, &listing, err);
    const char **paths = status ? NULL : exaone_mem_array(listing.n, sizeof *paths);
    if (!status && !paths) {
        status = exaone_fail_memory(err, "the list of files", listing.n * sizeof *paths);
    }
    for (size_t i = 0; paths && i < listing.n; i++) {
        paths[i] = listing.items[i].path;
    }
    if (!status) {
        char where[300];
        snprintf(where, sizeof where, "revision %.200s", options->revision ? options->revision : "main");
        status = exaone_hub_choose(paths, listing.n, name, options->mmproj, where, &choice, err);
    }
    if (!status && choice.missing) {
        status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %zu parts of the split model are not in the repository",
                             name->repo, choice.missing);
    }
    if (!status) {
        status = fill_plan(plan, &listing, &choice, repo_dir, err);
    }
    free(choice.role);
    free(paths);
    exaone_hub_listing_release(&listing);
    exaone_hub_net_close(&net);
    return status;
}

static exaone_status plan_offline(const exaone_hub_name *name, const exaone_hub_options *options, exaone_hub_plan *plan,
                                  exaone_error *err) {
    exaone_status status = exaone_hub_find(name, options->cache, options->revision, &plan->model, err);
    if (status) {
        return exaone_fail_context(err, status, "offline");
    }
    plan->license = exaone_mem_string("", 0);
    plan->license_link = exaone_mem_string("", 0);
    return plan->license && plan->license_link ? EXAONE_OK : exaone_fail_memory(err, "the plan", 0);
}

exaone_status exaone_hub_plan_make(const exaone_hub_name *name, const exaone_hub_options *options, exaone_hub_plan *plan,
                                   exaone_error *err) {
    *plan = (exaone_hub_plan){.name = *name};
    if (options->revision) {
        exaone_status status = exaone_hub_revision_check(options->revision, err);
        if (status) {
            return status;
        }
    }
    if (!options->cache || !options->cache[0]) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the option cache is not given");
    }
    if (options->offline) {
        return plan_offline(name, options, plan, err);
    }
    char *repo_dir = exaone_hub_repo_dir(options->cache, name->repo);
    exaone_status status =
        repo_dir ? plan_online(name, options, repo_dir, plan, err) : exaone_fail_memory(err, options->cache, 0);
    free(repo_dir);
    return status;
}

/* ---- folders and links ---- */

/* Makes the folders of PATH; its last part too when `whole`. */
static exaone_status make_folders(const char *path, bool whole, exaone_error *err) {
    char *part = exaone_mem_string(path, strlen(path));
    if (!part) {
        return exaone_fail_memory(err, path, strlen(path));
    }
    exaone_status status = EXAONE_OK;
    for (char *at = part + 1; *at && !status; at++) {
        bool last = at[1] == 0 && whole;
        char *cut = last ? at + 1 : at;
        if (*at == '/' || last) {
            char kept = *cut;
            *cut = 0;
            if (mkdir(part, 0777) != 0 && errno != EEXIST && !exaone_file_is_dir(part)) {
                status = exaone_fail(err, EXAONE_ERR_IO, "cannot make the folder %s: %s", part, strerror(errno));
            }
            *cut = kept;
        }
    }
    free(part);
    return status;
}

/* Where the file system has no links the blob itself moves into the snapshot. */
static exaone_status place_without_link(const char *blob, const char *path, exaone_error *err) {
    return link(blob, path) == 0 || rename(blob, path) == 0
               ? EXAONE_OK
               : exaone_fail(err, EXAONE_ERR_IO, "cannot put %s in its place: %s", path, strerror(errno));
}

/* SNAPSHOT/PATH -> ../../blobs/HASH, replacing what is there. */
static exaone_status link_file(const char *repo_dir, const char *snapshot, const exaone_hub_file *f, exaone_error *err) {
    char temporary[64];
    exaone_buf target;
    exaone_buf_init(&target, 8192);
    exaone_buf_puts(&target, "../../");
    for (const char *c = f->path; *c; c++) {
        exaone_buf_puts(&target, *c == '/' ? "../" : "");
    }
    exaone_buf_printf(&target, "blobs/%s", f->hash);
    snprintf(temporary, sizeof temporary, ".link.%ld", (long)getpid());
    char *path = exaone_hub_path2(snapshot, f->path), *blob = exaone_hub_path3(repo_dir, "blobs", f->hash);
    char *fresh = exaone_hub_path2(snapshot, temporary);
    exaone_status status =
        path && blob && fresh ? exaone_buf_check(&target, "a link", err) : exaone_fail_memory(err, f->path, 0);
    if (!status) {
        status = make_folders(path, false, err);
    }
    if (!status) {
        unlink(fresh);
        if (symlink(target.data, fresh) != 0) {
            status = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS
                         ? place_without_link(blob, path, err)
                         : exaone_fail(err, EXAONE_ERR_IO, "cannot make a link in %s: %s", snapshot, strerror(errno));
        } else if (rename(fresh, path) != 0) {
            status = exaone_fail(err, EXAONE_ERR_IO, "cannot make the link %s: %s", path, strerror(errno));
            unlink(fresh);
        }
    }
    free(path);
    free(blob);
    free(fresh);
    exaone_buf_release(&target);
    return status;
}

static exaone_status write_ref(const char *repo_dir, const exaone_hub_plan *plan, const char *revision, exaone_error *err) {
    revision = revision ? revision : "main";
    if (strcmp(revision, plan->commit) == 0) {
        return EXAONE_OK;
    }
    char *path = exaone_hub_path3(repo_dir, "refs", revision);
    exaone_status status = path ? make_folders(path, false, err) : exaone_fail_memory(err, repo_dir, 0);
    if (!status) {
        status = exaone_file_write(path, plan->commit, 40, err);
    }
    free(path);
    return status;
}

/* ---- one file ---- */

exaone_status exaone_hub_lock(exaone_hub_net *net, const char *path, int *fd, exaone_error *err) {
    *fd = -1;
    for (;;) {
        int lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (lock < 0) {
            return exaone_fail(err, EXAONE_ERR_IO, "cannot open the lock %s: %s", path, strerror(errno));
        }
        struct stat mine, there;
        if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
            /* The holder before may have removed the file: the lock is good only while the name leads to it. */
            if (fstat(lock, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
                mine.st_dev == there.st_dev) {
                *fd = lock;
                return EXAONE_OK;
            }
            close(lock);
            continue;
        }
        int fault = errno;
        close(lock);
        if (fault == ENOSYS || fault == ENOTSUP || fault == ENOLCK) { /* a file system without locks */
            return EXAONE_OK;
        }
        if (fault != EWOULDBLOCK && fault != EINTR) {
            return exaone_fail(err, EXAONE_ERR_IO, "cannot take the lock %s: %s", path, strerror(fault));
        }
        net->progress.phase = EXAONE_HUB_LOCKED;
        exaone_hub_report(net, false);
        usleep(LOCK_POLL_MS * 1000);
        if (exaone_hub_cancelled(net)) {
            return exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped while another process was downloading the same file");
        }
    }
}

/* The hash of the first `have` bytes, which an earlier download left. */
static exaone_status digest_file(exaone_hub_net *net, int fd, uint64_t have, const char *path, exaone_hub_digest *digest,
                                 exaone_error *err) {
    uint8_t *bytes = malloc(READ_BYTES);
    exaone_status status = bytes ? EXAONE_OK : exaone_fail_memory(err, path, READ_BYTES);
    uint64_t before = net->progress.total_done - have;
    net->progress.phase = EXAONE_HUB_CHECKING;
    for (uint64_t at = 0; at < have && !status;) {
        size_t want = have - at < READ_BYTES ? (size_t)(have - at) : READ_BYTES;
        ssize_t got = pread(fd, bytes, want, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            status =
                exaone_fail(err, EXAONE_ERR_IO, "cannot read %s: %s", path, got ? strerror(errno) : "it became shorter");
        } else if (exaone_hub_cancelled(net)) {
            status = exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped while checking %s; it is kept", path);
        } else {
            exaone_hub_digest_add(digest, bytes, (size_t)got);
            at += (uint64_t)got;
            net->progress.file_done = at;
            net->progress.total_done = before + at;
            exaone_hub_report(net, false);
        }
    }
    net->progress.total_done = before + have;
    free(bytes);
    return status;
}

/* Fetches into the open .incomplete file and compares the hash; *right tells. */
static exaone_status fill_file(exaone_hub_net *net, const char *url, const exaone_hub_file *f, int fd, const char *path,
                               bool *right, exaone_error *err) {
    struct stat st;
    *right = false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return exaone_fail(err, EXAONE_ERR_IO, "%s is no regular file", path);
    }
    uint64_t have = (uint64_t)st.st_size, wrote;
    if (have > f->size) {
        have = 0;
        if (ftruncate(fd, 0) != 0) {
            return exaone_fail(err, EXAONE_ERR_IO, "cannot shorten %s: %s", path, strerror(errno));
        }
    }
    net->progress.total_done += have;
    exaone_hub_digest digest;
    exaone_hub_digest_begin(&digest, f->hash, f->size);
    exaone_status status = digest_file(net, fd, have, path, &digest, err);
    if (!status) {
        net->progress.phase = EXAONE_HUB_FETCHING;
        status = exaone_hub_download(net, url, f, fd, have, &digest, &wrote, err);
    }
    if (!status && fdatasync(fd) != 0) {
        status = exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (!status) {
        char hex[65];
        exaone_hub_digest_end(&digest, hex);
        *right = strcmp(hex, f->hash) == 0;
        if (!*right) {
            exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the hash of the %llu bytes is %s, and %s is right", f->path,
                        (unsigned long long)f->size, hex, f->hash);
        }
    }
    return status;
}

static exaone_status fetch_blob(exaone_hub_net *net, const char *url, const char *repo_dir, const exaone_hub_file *f,
                                exaone_error *err) {
    char *blob = exaone_hub_path3(repo_dir, "blobs", f->hash), *part = incomplete_path(repo_dir, f->hash);
    exaone_status status = blob && part ? EXAONE_OK : exaone_fail_memory(err, f->path, 0);
    uint64_t size, before = net->progress.total_done;
    bool right = !status && file_size(blob, false, &size) && size == f->size; /* another process was faster */
    if (right) {
        net->progress.total_done += f->size;
    }
    exaone_error wrong = {0};
    for (int attempt = 0; !status && !right && attempt < 2; attempt++) {
        net->progress.total_done = before;
        int fd = open(part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
        if (fd < 0) {
            status = exaone_fail(err, EXAONE_ERR_IO, "cannot open %s: %s", part, strerror(errno));
            break;
        }
        status = fill_file(net, url, f, fd, part, &right, &wrong);
        close(fd);
        if (status) {
            status = exaone_fail(err, status, "%s", wrong.message);
        } else if (!right) {
            unlink(part);
        } else if (rename(part, blob) != 0) {
            status = exaone_fail(err, EXAONE_ERR_IO, "cannot rename %s: %s", part, strerror(errno));
        }
    }
    if (!status && !right) {
        status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s (twice; nothing of it is kept)", wrong.message);
    }
    free(blob);
    free(part);
    return status;
}

static exaone_status fetch_file(exaone_hub_net *net, const exaone_hub_plan *plan, const char *repo_dir, const char *locks,
                                exaone_hub_file *f, exaone_error *err) {
    char name[80];
    exaone_buf url;
    exaone_buf_init(&url, EXAONE_HUB_MAX_URL);
    exaone_buf_printf(&url, "%s/%s/resolve/%s/", net->endpoint, plan->name.repo, plan->commit);
    exaone_hub_put_encoded(&url, f->path, true);
    snprintf(name, sizeof name, "%s.lock", f->hash);
    char *path = exaone_hub_path2(locks, name);
    int lock = -1;
    exaone_status status = path ? exaone_buf_check(&url, "a URL", err) : exaone_fail_memory(err, locks, 0);
    if (!status) {
        status = exaone_hub_lock(net, path, &lock, err);
    }
    if (!status) {
        net->progress.phase = EXAONE_HUB_FETCHING;
        status = fetch_blob(net, url.data, repo_dir, f, err);
    }
    if (!status) {
        f->have = f->size;
        status = link_file(repo_dir, plan->snapshot, f, err);
        f->linked = !status;
    }
    if (lock >= 0) {
        close(lock);
    }
    free(path);
    exaone_buf_release(&url);
    return status;
}

/* ---- all files ---- */

static exaone_status check_disk(const char *cache, const exaone_hub_plan *plan, exaone_error *err) {
    struct statvfs fs;
    if (plan->fetch_bytes == 0 || statvfs(cache, &fs) != 0) {
        return EXAONE_OK;
    }
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (fs.f_frsize ? fs.f_frsize : fs.f_bsize);
    if (plan->fetch_bytes + DISK_RESERVE > free_bytes) {
        return exaone_fail(
            err, EXAONE_ERR_IO,
            "the disk of %s has %.2f GB free, and %.2f GB are still to come; HF_HOME or HF_HUB_CACHE names another "
            "place",
            cache, (double)free_bytes / 1e9, (double)plan->fetch_bytes / 1e9);
    }
    return EXAONE_OK;
}

static exaone_status fetch_all(exaone_hub_net *net, exaone_hub_plan *plan, const char *repo_dir, const char *locks,
                               exaone_error *err) {
    exaone_status status = EXAONE_OK;
    exaone_hub_progress *p = &net->progress;
    p->n_files = plan->n_files;
    p->total_bytes = plan->total_bytes;
    for (size_t i = 0; i < plan->n_files && !status; i++) {
        exaone_hub_file *f = &plan->files[i];
        p->index = i;
        p->file = f->path;
        p->file_bytes = f->size;
        p->file_done = 0;
        p->phase = EXAONE_HUB_FETCHING;
        if (f->linked) {
            p->total_done += f->size;
        } else {
            status = fetch_file(net, plan, repo_dir, locks, f, err);
        }
        p->file_done = f->size;
        if (!status) {
            exaone_hub_report(net, i + 1 == plan->n_files);
        }
    }
    return status;
}

exaone_status exaone_hub_plan_fetch(exaone_hub_plan *plan, const exaone_hub_options *options, exaone_error *err) {
    exaone_hub_net net;
    if (options->offline || plan->n_files == 0) { /* the plan was made from the cache */
        return EXAONE_OK;
    }
    exaone_status status = exaone_hub_net_open(&net, options, err);
    if (status) {
        return status;
    }
    char *repo_dir = exaone_hub_repo_dir(options->cache, plan->name.repo),
         *held = exaone_hub_path2(options->cache, ".locks");
    char *locks = held ? exaone_hub_repo_dir(held, plan->name.repo) : NULL;
    char *blobs = repo_dir ? exaone_hub_path2(repo_dir, "blobs") : NULL;
    status = locks && blobs ? make_folders(blobs, true, err) : exaone_fail_memory(err, options->cache, 0);
    status = status ? status : make_folders(locks, true, err);
    status = status ? status : make_folders(plan->snapshot, true, err);
    status = status ? status : check_disk(options->cache, plan, err);
    status = status ? status : fetch_all(&net, plan, repo_dir, locks, err);
    status = status ? status : write_ref(repo_dir, plan, options->revision, err);
    free(repo_dir);
    free(held);
    free(locks);
    free(blobs);
    exaone_hub_net_close(&net);
    return status;
}
