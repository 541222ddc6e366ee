/* Where the bytes of a picture or a video come from: a file, a data URI, or (only when allowed) an http(s) URL.
 *
 * A source is text that may have been written by a stranger (a request's image_url), so nothing is reached that the options
 * do not allow: no network by default, no private address even then, no other scheme at all, and no more bytes than the
 * limit. */
#ifndef EXAONE_SOURCE_H
#define EXAONE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_source_options {
    bool allow_files;   /* paths may be read; true after init. A server sets it to false */
    bool allow_url;     /* http and https may be fetched; false after init */
    bool allow_private; /* URLs may lead to loopback, private, link-local and other addresses that are not public; false */
    size_t max_bytes;   /* of the decoded bytes, from any source; 256 MiB after init */
    int max_redirects;  /* 5 after init */
    int connect_timeout_ms;     /* 10,000 after init */
    int total_timeout_ms;       /* for all hops together; 60,000 after init */
    int low_speed_bytes;        /* a transfer slower than this many bytes per second … ; 1,024 after init */
    int low_speed_seconds;      /* … over this many seconds is given up; 15 after init */
    const volatile int *cancel; /* may be NULL; when it becomes non-zero a fetch stops with EXAONE_ERR_CANCELLED */
} exaone_source_options;

EXAONE_API void exaone_source_options_init(exaone_source_options *options);

typedef enum exaone_source_kind {
    EXAONE_SOURCE_PATH,
    EXAONE_SOURCE_DATA_URI,
    EXAONE_SOURCE_URL,    /* http or https */
    EXAONE_SOURCE_REFUSED /* another scheme, as file: or ftp: */
} exaone_source_kind;

/* What `source` is, by its beginning alone. "name:rest" with a scheme of two letters or more in front of "//", "data:" and
 * "file:" count as schemes; everything else is a path. */
EXAONE_API exaone_source_kind exaone_source_classify(const char *source);

/* Reads the whole source. *bytes (free()) holds *n bytes and one NUL behind them. `options` NULL: the defaults.
 * Errors: ERR_ARGUMENT for a source that the options do not allow (the message names the option), ERR_IO, ERR_FORMAT for a
 * broken data URI, ERR_LIMIT with both numbers. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_media_load(const char *source, const exaone_source_options *options,
                                                           uint8_t **bytes, size_t *n, exaone_error *err);

/* Decodes "data:[<type>][;<parameter>]...[;base64],<data>" (RFC 2397) of `len` characters.
 *
 * Base64: the standard and the URL-safe alphabet, white space (also percent-encoded) anywhere, padding present or left off.
 * Refused: any other character, characters behind the padding, a single left-over character, left-over bits that are not
 * zero. Without ";base64" the data is percent-decoded; a '%' without two hex digits is refused. The declared type is not
 * looked at: what the bytes are is read from the bytes. *bytes (free()) holds *n bytes and one NUL. More than `max_bytes`,
 * or text of more than twice that for base64: ERR_LIMIT, found before anything is allocated. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_data_uri_decode(const char *uri, size_t len, size_t max_bytes,
                                                                uint8_t **bytes, size_t *n, exaone_error *err);

typedef enum exaone_media_kind { EXAONE_MEDIA_UNKNOWN, EXAONE_MEDIA_IMAGE, EXAONE_MEDIA_VIDEO } exaone_media_kind;

/* A guess from the first bytes (16 are enough, except for MPEG transport streams: 189). GIF, WebP and AVIF count as images,
 * also when they move; ISO media (mp4, mov), Matroska and WebM, AVI, MPEG program and transport streams, FLV, Ogg and ASF as
 * videos. */
EXAONE_API exaone_media_kind exaone_media_sniff(const uint8_t *bytes, size_t n);

/* Fetches an http or https URL (libcurl). Redirects are followed by hand, every hop is checked like the first one, and the
 * address is checked where the socket is opened, so that neither a redirect nor a changing DNS answer leads to a private
 * address. Needs options->allow_url. Proxies and other settings of the environment are not used; bodies are not
 * decompressed. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_url_fetch(const char *url, const exaone_source_options *options,
                                                          uint8_t **bytes, size_t *n, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
