/* The parallel-loop interface, which media takes from the caller: declared publicly because programs pass it on. */
#ifndef EXAONE_BASE_PARALLEL_H
#define EXAONE_BASE_PARALLEL_H

#include "exaone/parallel.h"

#endif
