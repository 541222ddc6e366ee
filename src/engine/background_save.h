/* Saving timelines to the prefix cache on a thread of its own. The checkpoint of a large model is close to a gigabyte, and
 * copying and hashing it would hold up everybody's next token. A fork of the timeline keeps the pages as they are until it
 * is saved; whoever goes on writes to copies. */
#ifndef EXAONE_ENGINE_BACKGROUND_SAVE_H
#define EXAONE_ENGINE_BACKGROUND_SAVE_H

#include "engine/prefix_cache.h"

typedef struct exaone_saver exaone_saver;

/* Owned by the caller: exaone_saver_end. Errors: EXAONE_ERR_MEMORY. */
EXAONE_MUST_USE exaone_status exaone_saver_start(exaone_saver **out, exaone_error *err);
/* Saves what waits, then ends the thread and frees. NULL is fine. */
void exaone_saver_end(exaone_saver *saver);

/* Does exaone_prefix_save with the timeline as it stands, soon. Does not wait: when four timelines wait already, or without
 * memory, it is left out. One thread at a time. */
void exaone_saver_put(exaone_saver *saver, const exaone_prefix *prefix, const exaone_sequence *seq);

#endif
