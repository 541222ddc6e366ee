/* For tests: the micro checkpoint with a longer context. */
#ifndef TESTS_LONG_MICRO_H
#define TESTS_LONG_MICRO_H

enum { LONG_MICRO_VOCAB = 512, LONG_MICRO_CONTEXT = 16384, LONG_MICRO_WINDOW = 8 };

/* A folder of it in the scratch folder; belongs to the helper. Faults end the running test. */
const char *long_micro_folder(void);

#endif
