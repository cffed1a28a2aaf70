/* Making an archive: takes pages of the log, hands out the bytes of the file, and in the end a manifest. Memory does not
 * grow with the archive, except for 12 bytes per frame. One thread. */
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
	int threads;    /* that compress; 0: the calling thread does */
	bool selection; /* a filter has left events out: the name says so */
};

/* Takes the bytes of the file, in order. Called on the compressing threads, if there are any, by one at a time. */
typedef enum err archive_sink(void *arg, struct slice bytes, struct fault *fault);

struct archive_output {
	archive_sink *sink;
	void *arg;
};

/* `lineage` of the store is borrowed. `previous`: the chain of the archive before, copied; NULL: there is none. */
enum err archive_writer_create(struct archive_options options, const struct lineage *lineage, const char *previous,
			       struct archive_output output, struct archive_writer **out, struct fault *fault);
void archive_writer_destroy(struct archive_writer *w); /* NULL is fine */
/* Adds a page: ascending, without overlap. Errors of the sink may be those of earlier pages. */
enum err archive_writer_add(struct archive_writer *w, struct page *page, struct fault *fault);
/* Writes the rest, with the embedded manifest. An archive without events has none, and of *out only `bytes` and the digests
 * are meaningful. */
enum err archive_writer_end(struct archive_writer *w, struct manifest *out, struct fault *fault);

#endif
