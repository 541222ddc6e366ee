/* For tests: a model of the repository with another number in its configuration. */
#ifndef TESTS_MODEL_VARIANT_H
#define TESTS_MODEL_VARIANT_H

/* A folder NAME in the scratch folder where the first "key": NUMBER of config.json is another number and all other files are
 * links to those of `source` (a path from the root of the repository). Faults end the running test. */
const char *model_variant(const char *source, const char *name, const char *key, long value);

#endif
