/* JSON as text. Payloads must come out with the digits, the order and the escapes they came in with, so nothing here
 * builds a tree: one function proves that a text is JSON (RFC 8259, UTF-8) and removes its insignificant white space,
 * and a few others walk a text so proven. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { JSON_DEPTH_MAX = 1000 };

/* Where and why a text is not JSON. */
struct json_error {
	size_t offset;    /* bytes from the start of the text */
	size_t element;   /* commas passed directly inside the outermost array: the index of the element at fault */
	const char *what; /* a static sentence */
};

/* Checks `text[0..len)` to be one JSON value and writes it without insignificant white space to `out`, which may be
 * `text` itself (the result is never longer). */
bool json_minify(const char *text, size_t len, char *out, size_t *out_len, struct json_error *error);

/* --- on proven, minified text only --- */

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum json_kind json_kind(struct slice value);

/* Walks the members of an object or the elements of an array:
 *     struct json_walk w = json_walk(object);
 *     while (json_next(&w)) … w.key (raw, without its quotes; empty in arrays) … w.value */
struct json_walk {
	const char *at;
	const char *end;
	bool object;
	struct slice key;
	struct slice value;
};
struct json_walk json_walk(struct slice container);
bool json_next(struct json_walk *w);

/* The value of the member `key` of an object; false: there is none. Of duplicates the last one counts. */
bool json_member(struct slice object, const char *key, struct slice *value);

/* Decodes a string value (with its quotes) to UTF-8 in `out`, which has room for value.len bytes. False when an escape
 * stands for no character (a lone surrogate). */
bool json_string(struct slice value, char *out, size_t *out_len);
/* Compares a raw key (without quotes, perhaps with escapes) with a name of plain ASCII. */
bool json_key_is(struct slice key, const char *name);
/* A number without fraction or exponent, 0 to 2^53 - 1. */
bool json_sequence(struct slice value, uint64_t *out);

/* True for valid UTF-8. */
bool json_utf8(struct slice text);
/* The same without control characters (C0, DEL, C1). */
bool json_plain_text(struct slice text);

#endif
