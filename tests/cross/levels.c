/* The kernel levels that the processor can run, in one line. */
#include <stdio.h>

#include "cpu/kernels/kernels.h"

int main(void) {
    const char *level;
    for (size_t i = 0; (level = exaone_kernels_level(i)); i++) {
        printf(i ? " %s" : "%s", level);
    }
    printf("\n");
    return 0;
}
