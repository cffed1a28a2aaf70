/* JSON documents: figures, health, leases, problems and the like, over cJSON, which only document.c knows. A document is a
 * tree, several times as large as its text: what has no bound is not one document, but a text to which small documents are
 * appended one by one. Payloads, envelopes and frames of events stay text (json/json.h), and so do manifests.
 *
 * Writing. A call that finds no memory is remembered, and those that follow do nothing, so that nothing has to be checked
 * until the end. A document is written whole or not at all:
 *
 *     struct document d;
 *     struct doc root = document_begin(&d);
 *     doc_u64(root, "head", head);
 *     struct doc bytes = doc_object(root, "bytes");
 *     doc_u64(bytes, "db", db);
 *     document_end(&d, out);
 *
 * Reading. document_read parses a text, document_finish frees the tree. Names are case-sensitive, and of duplicate members
 * the last one counts.
 *
 * Not locked; any thread. */
#ifndef JSON_DOCUMENT_H
#define JSON_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct cJSON;

/* Not to be copied or moved while there is a `struct doc` of it. */
struct document {
	struct cJSON *root;
	size_t bytes;       /* of the text */
	struct buf scratch; /* for a text on its way in */
	bool failed;        /* there was no memory */
};

/* An object, an array or another value in a document. */
struct doc {
	struct document *of;
	struct cJSON *at; /* NULL: no memory (writing), no such value (reading) */
};

/* --- writing --- */

/* Begins an object. document_end must follow. */
struct doc document_begin(struct document *d);
/* Appends its text to `out`, without white space, and frees the document. Without memory nothing is appended, and `out` has
 * failed. */
void document_end(struct document *d, struct buf *out);
/* The same around a value that is too large to be in a document: one without its last brace goes before it, one with a comma
 * for its first brace behind it. They have a member at least. */
void document_end_head(struct document *d, struct buf *out);
void document_end_tail(struct document *d, struct buf *out);

/* Each adds a value as the last one of `in`. `key` is the name of a member, NULL in an array; it is not copied, and has to
 * last as long as the document. */
struct doc doc_object(struct doc in, const char *key);
struct doc doc_array(struct doc in, const char *key);
/* The same for a name that is copied. */
struct doc doc_object_named(struct doc in, struct slice name);
/* The text is valid UTF-8. */
void doc_text(struct doc in, const char *key, struct slice text);
void doc_string(struct doc in, const char *key, const char *text);
/* The same, null for an empty text. */
void doc_text_or_null(struct doc in, const char *key, struct slice text);
/* Every digit of it. */
void doc_u64(struct doc in, const char *key, uint64_t number);
void doc_i64(struct doc in, const char *key, int64_t number);
/* A number with `decimals` decimals; null if it is not finite, since JSON has no such number. */
void doc_fixed(struct doc in, const char *key, double number, int decimals);
void doc_bool(struct doc in, const char *key, bool value);
void doc_null(struct doc in, const char *key);
/* RFC 3339, of Unix milliseconds. */
void doc_time(struct doc in, const char *key, int64_t wall_ms);
/* Unix milliseconds as seconds with three decimals. */
void doc_seconds(struct doc in, const char *key, int64_t wall_ms);
/* A value that is JSON text already. */
void doc_raw(struct doc in, const char *key, struct slice json);
/* The same of a buffer, which is finished. Where it has failed, so has the document. */
void doc_raw_take(struct doc in, const char *key, struct buf *json);

/* --- reading --- */

/* A text nested deeper, or of more values, is none that this is for. */
enum { DOCUMENT_DEPTH_MAX = 64, DOCUMENT_VALUES_MAX = 16 * 1024 };

/* Parses `text`, any bytes, which are not kept. ERR_INVALID: it is not one JSON value, exceeds these bounds, or has
 * \u0000 in a string. What the grammar forbids besides (a control character in a string, bytes that are not UTF-8, a number
 * such as 01) is not found here: where it matters, json_minify looks first. The caller must call document_finish, also after
 * an error; then it has no values. */
enum err document_read(struct document *d, struct slice text);
void document_finish(struct document *d);

struct doc document_root(struct document *d);
bool doc_is_object(struct doc value);
bool doc_is_array(struct doc value);
/* None where `in` is no object, or has no such member. */
struct doc doc_member(struct doc in, const char *key);
/* The values of an object or an array in their order; none after the last. */
struct doc doc_first(struct doc in);
struct doc doc_next(struct doc value);
/* The name of a member. */
const char *doc_key(struct doc value);
/* A string, which lasts as long as the document; false for any other value, and for none. */
bool doc_get_text(struct doc value, struct slice *out);
/* A whole number from 0 to 2^53 - 1, up to which none loses a digit. */
bool doc_get_u64(struct doc value, uint64_t *out);

#endif
