/* Files of the source tree that are part of the binary (made at build time by cmake/embed.cmake). */
#ifndef BASE_ASSETS_H
#define BASE_ASSETS_H

#include <stddef.h>

struct asset {
	const char *name;           /* file name without folder */
	const unsigned char *bytes; /* followed by a NUL that does not count */
	size_t len;
};

struct assets {
	const struct asset *items; /* sorted by name */
	size_t count;
};

extern const struct assets schema_assets;   /* schema/NNN_*.sql in order */
extern const struct assets contract_assets; /* the documents in schema/ */
extern const struct assets static_assets;   /* static/ */

#endif
