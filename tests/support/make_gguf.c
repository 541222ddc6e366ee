/* GGUF pairs from Hugging Face folders: see make_gguf.h. */
#include "make_gguf.h"

#include "exaone/quantize.h"

exaone_status make_gguf(const char *folder, const char *text, const char *mmproj, exaone_dtype type, exaone_error *err) {
    const exaone_quantize_options o = {.type = exaone_dtype_name(type),
                                       .mmproj_type = exaone_dtype_name(type),
                                       .mmproj_out = mmproj,
                                       .no_mmproj = !mmproj,
                                       .force = true,
                                       .threads = 1};
    return exaone_quantize(folder, text, &o, NULL, err);
}
