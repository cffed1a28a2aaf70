/* Conditions on an event, all of which have to hold: /POINTER=VALUE, a JSON pointer (RFC 6901) into the payload and the text
 * of what it has to lead to; and NAME=VALUE, which a profile defines. A string is compared by its characters, a number as it
 * is written; true, false and null are themselves; an array or an object is never equal.
 *
 * Counted references. Any thread, once the last condition was added. */
#ifndef EVENT_WHERE_H
#define EVENT_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { WHERE_MAX = 4, /* pointers; and one of a name */ WHERE_LEN_MAX = 1024 };

/* A kind of condition that a profile adds: NAME=VALUE. */
struct where_kind {
	const char *name;
	/* Parses a value; negative: it is invalid. */
	int (*read)(struct slice value);
	/* Does an event fulfil it? The payload is proven JSON, without insignificant white space. */
	bool (*holds)(int wanted, struct slice type, struct slice data);
};
/* There is one kind at most. Before anything else; `kind` stays. */
void where_add_kind(const struct where_kind *kind);

struct where;

struct where *where_create(void); /* NULL: no memory */
struct where *where_ref(struct where *w);
void where_unref(struct where *w); /* NULL is fine */

/* ERR_INVALID: no pointer, no `=`, not UTF-8, or of no kind; ERR_TOO_LARGE: there are WHERE_MAX, or one of a name, or it is
 * longer than WHERE_LEN_MAX; ERR_NOMEM. */
enum err where_add(struct where *w, struct slice condition);

size_t where_count(const struct where *w); /* NULL: 0 */
/* A condition as it was added. */
struct slice where_text(const struct where *w, size_t index);
/* Are they the same, in the same order? Then their hashes are, too. */
bool where_same(const struct where *a, const struct where *b);
uint64_t where_hash(const struct where *w);

/* `data` is proven JSON (json.h), without insignificant white space; escapes in `type` make no difference. */
bool where_holds(const struct where *w, struct slice type, struct slice data);

#endif
