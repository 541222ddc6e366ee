/* See long_micro.h. */
#include "long_micro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "scratch.h"

const char *long_micro_folder(void) {
    static const char *const files[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json", "generation_config.json"};
    static const char before[] = "\"max_position_embeddings\": 1024", after[] = "\"max_position_embeddings\":16384";
    char name[256];
    size_t n;
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "tests/golden/model/micro/checkpoint/%s", files[i]);
        char *bytes = fixture_read(name, &n);
        snprintf(name, sizeof name, "micro/%s", files[i]);
        scratch_write(name, bytes, n);
        free(bytes);
    }
    char *config = fixture_read("tests/golden/model/micro/checkpoint/config.json", &n);
    char *at = strstr(config, before);
    assert_non_null(at);
    memcpy(at, after, sizeof after - 1);
    scratch_write("micro/config.json", config, n);
    free(config);
    return scratch_path("micro");
}
