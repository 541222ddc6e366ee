/* Patterns for names of modules, as quantised checkpoints list them: a name, or "re:" and a regular expression in Python's
 * spelling that must match at the start of the name (re.match).
 *
 * Understood: literals, . [..] \d \w \s and their opposites, \b \B ^ $ \A \Z, groups (also (?:..) and (?P<name>..)), |, * +
 * ? {m,n} (lazy ones too), (?=..) (?!..). Not understood, and said so: back references, look-behind, flags. Matching follows
 * all alternatives at once: time is at most the length of the name times the steps of the pattern. */
#ifndef EXAONE_MODEL_NAME_PATTERN_H
#define EXAONE_MODEL_NAME_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/status.h"

enum { EXAONE_PATTERN_STEPS = 512 }; /* most steps of one expression; a repetition counts as often as it is written out */

/* Steps of the expression (0 for a plain name). EXAONE_ERR_UNSUPPORTED with the pattern and what is wrong with it. */
EXAONE_MUST_USE exaone_status exaone_name_pattern_check(const char *pattern, size_t *steps, exaone_error *err);
/* `pattern` has passed the check. */
bool exaone_name_pattern_match(const char *pattern, const char *name);

#endif
