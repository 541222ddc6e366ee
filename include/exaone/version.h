/* The version of the library and of the program: the only place that states it (the Makefile reads it from here). */
#ifndef EXAONE_VERSION_H
#define EXAONE_VERSION_H

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXAONE_VERSION "0.1.0"

/* EXAONE_VERSION as the library was built with; a program linked to the shared library compares the two. Static text. */
EXAONE_API const char *exaone_version(void);

#ifdef __cplusplus
}
#endif
#endif
