/* Access tokens. The file of tokens has one JSON object per line,
 *
 *     {"name":"ci","scopes":["publish"],"streams":["builds","logs-*"],"hash":"sha256:<64 hex digits>"}
 *
 * and the server knows only the hash of a token: a token is random and long, so that one SHA-256 is as good as a
 * slow hash. A set of tokens is immutable and reference-counted. Any thread. */
#ifndef SERVER_ACCESS_TOKEN_H
#define SERVER_ACCESS_TOKEN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/data/sha256.h"
#include "base/err.h"
#include "json/document.h"

enum scope { SCOPE_PUBLISH = 1 << 0, SCOPE_READ = 1 << 1, SCOPE_ADMIN = 1 << 2 };

enum {
	TOKENS_MAX = 1000, /* each request is compared with all of them */
	TOKEN_PATTERNS_MAX = 64,
	TOKEN_NAME_MAX = 64,
	TOKEN_TEXT_MAX = 256, /* maximum bytes of a token sent by a client */
	TOKEN_LEN = 52,       /* size of a created token, with NUL: "td_" and 192 bits in hex */
};

struct token {
	char name[TOKEN_NAME_MAX + 1];
	unsigned scopes;
	unsigned char hash[SHA256_LEN];
	struct slice patterns[TOKEN_PATTERNS_MAX]; /* in the set's memory */
	int pattern_count;                         /* 0: every stream */
	size_t line;                               /* of the file, from 1 */
};

struct tokens;

/* Parses a whole file. ERR_INVALID tells the error, and fault.place the line. Blank lines and lines that begin with # are
 * skipped. */
enum err tokens_parse(struct slice text, struct tokens **out, struct fault *fault);
struct tokens *tokens_ref(struct tokens *t);
void tokens_unref(struct tokens *t); /* NULL is fine */

int tokens_count(const struct tokens *t);
const struct token *tokens_at(const struct tokens *t, int index);
/* The token whose hash is that of `text`; NULL: none. The time taken depends only on the length of `text`. */
const struct token *tokens_find(const struct tokens *t, struct slice text);
/* The token with the same hash, name and permissions as `old`, which belongs to another set; NULL: none. */
const struct token *tokens_again(const struct tokens *t, const struct token *old);

/* Is it 1 to TOKEN_NAME_MAX letters, digits, dots, dashes and underscores? */
bool token_name_fits(struct slice name);
/* "publish", "read", "admin"; 0: none of them. */
unsigned token_scope(struct slice name);
/* Appends the names of scopes, separated by commas. */
void token_put_scopes(struct buf *out, unsigned scopes);
/* Adds the names of scopes to an array. */
void token_add_scopes(struct doc to, unsigned scopes);
/* Creates a token: its text, and a line for the file, with a newline. False: no memory. */
bool token_make(const char *name, unsigned scopes, const struct slice *patterns, int pattern_count, char text[TOKEN_LEN],
		struct buf *line);

#endif
