/* Inside of URL fetching: a door for tests. */
#ifndef EXAONE_MEDIA_FETCH_H
#define EXAONE_MEDIA_FETCH_H

#include <sys/socket.h>

#include "exaone/source.h"

/* exaone_url_fetch with another rule than exaone_address_is_public for what a socket may be opened to (NULL: that rule). */
EXAONE_MUST_USE exaone_status exaone_url_fetch_with(const char *url, const exaone_source_options *options,
                                                    bool (*may_connect)(const struct sockaddr *), uint8_t **bytes, size_t *n,
                                                    exaone_error *err);

#endif
