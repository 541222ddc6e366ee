/* The version of the library and of the program: the only place that states it (the Makefile reads it from here). */
#ifndef EXAONE_VERSION_H
#define EXAONE_VERSION_H

#define EXAONE_VERSION "0.1.0"

#endif
