/* Making an archive: pages of the log in, the bytes of the file out, a manifest at the end. Memory does not grow with the
 * archive, but for 12 bytes a frame. One thread. */
#ifndef STORE_ARCHIVE_ARCHIVE_WRITE_H
#define STORE_ARCHIVE_ARCHIVE_WRITE_H

#include "event/page.h"
#include "store/archive/manifest.h"

struct archive_writer;

enum {
	/* Of zstd: for lines like these as small as level 3, in two thirds of the time (docs/decisions/0009-archives.md). */
	ARCHIVE_LEVEL = 2,
	/* Raw bytes after which a frame ends: 1 MiB costs 0.6 % of size against one frame over all, and a reader of one
	 * event unpacks a frame (docs/decisions/0009-archives.md). */
	ARCHIVE_FRAME = 1024 * 1024,
};

struct archive_options {
	int level;      /* of zstd */
	int threads;    /* that compress; 0: the caller's */
	bool selection; /* a filter decides what it holds: it is named so */
};

/* Takes the bytes of the file, in order; on the threads that compress, where there are any, one at a time. */
typedef enum err archive_sink(void *arg, struct slice bytes, struct fault *fault);

/* Of a store with this lineage, which is borrowed. `previous` is the chain of the archive before; NULL: there is none. It is
 * copied. */
enum err archive_writer_create(struct archive_options options, const struct lineage *lineage, const char *previous,
			       archive_sink *sink, void *arg, struct archive_writer **out, struct fault *fault);
void archive_writer_destroy(struct archive_writer *w); /* NULL is fine */
/* Ascending, without overlap. */
enum err archive_writer_add(struct archive_writer *w, struct page *page, struct fault *fault);
/* Writes what is left, and the manifest inside. An archive without events has none: only `bytes` and the digests say
 * something. */
enum err archive_writer_end(struct archive_writer *w, struct manifest *out, struct fault *fault);

#endif
