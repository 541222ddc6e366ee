/* The library's version at run time. */
#include "exaone/version.h"

const char *exaone_version(void) {
    return EXAONE_VERSION;
}
