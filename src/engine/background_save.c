/* Timelines that wait to be saved: see background_save.h. */
#include "engine/background_save.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { MOST_JOBS = 4 };

typedef struct {
    exaone_prefix *prefix;
    exaone_sequence *seq;
} job;

struct exaone_saver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* with lock: a job has come, or ending */
    job jobs[MOST_JOBS]; /* lock [n], the oldest first */
    size_t n;            /* lock */
    bool ending;         /* lock */
};

static void release(job *j) {
    exaone_prefix_free(j->prefix);
    exaone_sequence_free(j->seq);
}

/* The oldest job; false: there will be none. */
static bool next_job(exaone_saver *s, job *out) {
    pthread_mutex_lock(&s->lock);
    while (s->n == 0 && !s->ending) {
        pthread_cond_wait(&s->work, &s->lock);
    }
    bool found = s->n > 0;
    if (found) {
        *out = s->jobs[0];
        memmove(s->jobs, s->jobs + 1, --s->n * sizeof s->jobs[0]);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void *save(void *arg) {
    job j;
    while (next_job(arg, &j)) {
        exaone_prefix_save(j.prefix, j.seq, false);
        release(&j);
    }
    return NULL;
}

exaone_status exaone_saver_start(exaone_saver **out, exaone_error *err) {
    exaone_saver *s = exaone_mem_array(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return exaone_fail_memory(err, "a thread that saves", sizeof *s);
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    if (pthread_create(&s->thread, NULL, save, s) != 0) {
        pthread_cond_destroy(&s->work);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return exaone_fail(err, EXAONE_ERR_MEMORY, "cannot start the thread that saves to the prefix cache");
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_saver_end(exaone_saver *s) {
    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool has_room(exaone_saver *s) {
    pthread_mutex_lock(&s->lock);
    bool room = s->n < MOST_JOBS;
    pthread_mutex_unlock(&s->lock);
    return room;
}

void exaone_saver_put(exaone_saver *s, const exaone_prefix *prefix, const exaone_sequence *seq) {
    exaone_error unused;
    job j = {0};
    if (!has_room(s) || exaone_prefix_fork(prefix, &j.prefix, &unused) != EXAONE_OK) {
        return;
    }
    if (exaone_sequence_fork(seq, &j.seq, &unused) != EXAONE_OK) {
        release(&j);
        return;
    }
    pthread_mutex_lock(&s->lock); /* jobs come from one thread: the room is still there */
    s->jobs[s->n++] = j;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}
