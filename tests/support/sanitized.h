/* For tests: whether a sanitizer slows this program down five- to fiftyfold. Cases repeat themselves less then; what a case
 * checks is the same, and how often `make test` does it too. */
#ifndef TESTS_SANITIZED_H
#define TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A constant that is smaller (or larger) under sanitizers. */
#define UNLESS_SANITIZED(plain, sanitized) (SANITIZED ? (sanitized) : (plain))

#endif
