/* Status codes and error messages: how every function of the library that can fail reports it.
 *
 * A function that can fail returns an exaone_status (0 = done) and takes an `exaone_error *err` that the caller owns and
 * that may be NULL. On failure `err` holds the code and one sentence with the names and the numbers; on success it is left
 * alone. The library never prints and never exits. */
#ifndef EXAONE_STATUS_H
#define EXAONE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EXAONE_API __attribute__((visibility("default")))
#define EXAONE_MUST_USE __attribute__((warn_unused_result))
#define EXAONE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define EXAONE_API
#define EXAONE_MUST_USE
#define EXAONE_PRINTF(fmt, args)
#endif

/* name, number, meaning */
#define EXAONE_STATUS_LIST(X)                                                              \
    X(OK, 0, "done")                                                                       \
    X(ERR_MEMORY, 1, "an allocation failed")                                               \
    X(ERR_IO, 2, "a file or the network could not be read or written")                     \
    X(ERR_FORMAT, 3, "a file or message breaks its format")                                \
    X(ERR_MODEL, 4, "the files are well formed but are not a model that this engine runs") \
    X(ERR_ARGUMENT, 5, "the caller's argument is not usable")                              \
    X(ERR_LIMIT, 6, "a stated limit is exceeded")                                          \
    X(ERR_UNSUPPORTED, 7, "this build or version cannot do it")                            \
    X(ERR_CANCELLED, 8, "the caller asked to stop")                                        \
    X(ERR_NUMERIC, 9, "the model's numbers are NaN or infinite")

typedef enum exaone_status {
#define EXAONE_STATUS_ENUM(name, number, text) EXAONE_##name = number,
    EXAONE_STATUS_LIST(EXAONE_STATUS_ENUM)
#undef EXAONE_STATUS_ENUM
} exaone_status;

typedef struct exaone_error {
    exaone_status code;
    char message[640]; /* NUL-terminated UTF-8, one sentence without a final newline */
} exaone_error;

/* The meaning of a code as given in the list above; never NULL. The text is static. */
EXAONE_API const char *exaone_status_text(exaone_status status);

#ifdef __cplusplus
}
#endif
#endif
