/* SHA-256, one thread at a time, and the comparison of secrets. */
#ifndef BASE_DATA_SHA256_H
#define BASE_DATA_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { SHA256_LEN = 32, SHA256_TEXT_LEN = 2 * SHA256_LEN };

struct sha256;

struct sha256 *sha256_create(void);    /* NULL: no memory */
void sha256_destroy(struct sha256 *s); /* NULL is fine */
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
/* The digest of all that was added; the next sha256_add begins a new one. */
void sha256_end(struct sha256 *s, unsigned char digest[SHA256_LEN]);

/* Of one text. False when there is no memory. */
bool sha256_of(struct slice bytes, unsigned char digest[SHA256_LEN]);
/* Takes the same time wherever the two differ. */
bool sha256_same(const unsigned char a[SHA256_LEN], const unsigned char b[SHA256_LEN]);

/* As lower-case hex digits and a NUL. */
void sha256_text(const unsigned char digest[SHA256_LEN], char text[SHA256_TEXT_LEN + 1]);

#endif
