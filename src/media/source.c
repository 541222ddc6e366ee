/* Sources: telling paths, data URIs and URLs apart, loading them, and guessing what the bytes are. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/file.h"
#include "exaone/source.h"

void exaone_source_options_init(exaone_source_options *options) {
    *options = (exaone_source_options){
        .allow_files = true,
        .max_bytes = (size_t)256 << 20,
        .max_redirects = 5,
        .connect_timeout_ms = 10000,
        .total_timeout_ms = 60000,
        .low_speed_bytes = 1024,
        .low_speed_seconds = 15,
    };
}

exaone_source_kind exaone_source_classify(const char *source) {
    size_t n = 0;
    if (isalpha((unsigned char)source[0])) {
        while (isalnum((unsigned char)source[n]) || (source[n] && strchr("+-.", source[n]))) {
            n++;
        }
    }
    if (n < 2 || source[n] != ':') {
        return EXAONE_SOURCE_PATH;
    }
    if (n == 4 && strncasecmp(source, "data", 4) == 0) {
        return EXAONE_SOURCE_DATA_URI;
    }
    if (n == 4 && strncasecmp(source, "file", 4) == 0) {
        return EXAONE_SOURCE_REFUSED;
    }
    if (strncmp(source + n, "://", 3) != 0) {
        return EXAONE_SOURCE_PATH;
    }
    bool web = (n == 4 && strncasecmp(source, "http", 4) == 0) || (n == 5 && strncasecmp(source, "https", 5) == 0);
    return web ? EXAONE_SOURCE_URL : EXAONE_SOURCE_REFUSED;
}

exaone_status exaone_media_load(const char *source, const exaone_source_options *options, uint8_t **bytes, size_t *n,
                                exaone_error *err) {
    exaone_source_options defaults;
    *bytes = NULL;
    *n = 0;
    if (!options) {
        exaone_source_options_init(&defaults);
        options = &defaults;
    }
    if (!source[0]) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the source of an image or video is empty");
    }
    switch (exaone_source_classify(source)) {
    case EXAONE_SOURCE_DATA_URI:
        return exaone_data_uri_decode(source, strlen(source), options->max_bytes, bytes, n, err);
    case EXAONE_SOURCE_URL:
        return exaone_url_fetch(source, options, bytes, n, err);
    case EXAONE_SOURCE_REFUSED:
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "the scheme \"%.*s:\" is not supported; give a path, a data URI, or an http or https URL",
                           (int)strcspn(source, ":"), source);
    case EXAONE_SOURCE_PATH:
        break;
    }
    if (!options->allow_files) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "files are not read unless the option allow_files is set");
    }
    char *text = NULL;
    exaone_status status = exaone_file_read(source, options->max_bytes, &text, n, err);
    *bytes = (uint8_t *)text;
    return status;
}

static bool at(const uint8_t *bytes, size_t n, size_t offset, const char *magic, size_t length) {
    return n >= offset + length && memcmp(bytes + offset, magic, length) == 0;
}

exaone_media_kind exaone_media_sniff(const uint8_t *bytes, size_t n) {
    static const struct {
        uint8_t offset, length;
        exaone_media_kind kind;
        const char *magic;
    } table[] = {
        {0, 3, EXAONE_MEDIA_IMAGE, "\xff\xd8\xff"}, {0, 8, EXAONE_MEDIA_IMAGE, "\x89PNG\r\n\x1a\n"},
        {0, 4, EXAONE_MEDIA_IMAGE, "GIF8"},         {8, 4, EXAONE_MEDIA_IMAGE, "WEBP"},
        {0, 2, EXAONE_MEDIA_IMAGE, "BM"},           {0, 4, EXAONE_MEDIA_IMAGE, "II*\0"},
        {0, 4, EXAONE_MEDIA_IMAGE, "MM\0*"},        {4, 8, EXAONE_MEDIA_IMAGE, "ftypavif"},
        {4, 8, EXAONE_MEDIA_IMAGE, "ftypavis"},     {4, 8, EXAONE_MEDIA_IMAGE, "ftypheic"},
        {4, 8, EXAONE_MEDIA_IMAGE, "ftypmif1"},     {4, 4, EXAONE_MEDIA_VIDEO, "ftyp"},
        {4, 4, EXAONE_MEDIA_VIDEO, "moov"},         {4, 4, EXAONE_MEDIA_VIDEO, "mdat"},
        {4, 4, EXAONE_MEDIA_VIDEO, "wide"},         {0, 4, EXAONE_MEDIA_VIDEO, "\x1a\x45\xdf\xa3"},
        {8, 4, EXAONE_MEDIA_VIDEO, "AVI "},         {0, 4, EXAONE_MEDIA_VIDEO, "\0\0\x01\xba"},
        {0, 4, EXAONE_MEDIA_VIDEO, "\0\0\x01\xb3"}, {0, 4, EXAONE_MEDIA_VIDEO, "FLV\x01"},
        {0, 4, EXAONE_MEDIA_VIDEO, "OggS"},         {0, 4, EXAONE_MEDIA_VIDEO, "\x30\x26\xb2\x75"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (at(bytes, n, table[i].offset, table[i].magic, table[i].length)) {
            return table[i].kind;
        }
    }
    return n > 188 && bytes[0] == 0x47 && bytes[188] == 0x47 ? EXAONE_MEDIA_VIDEO : EXAONE_MEDIA_UNKNOWN;
}
