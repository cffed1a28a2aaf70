/* The zstd seekable format, version 0.1.0: independent frames one after the other, and at the end a table of their sizes in
 * a frame that decoders skip.
 *
 *     frame … frame │ magic 184D2A5D, size, manifest │ magic 184D2A5E, size │ (packed, raw, sum) … │
 *     frames, descriptor, magic 8F92EAB1
 *
 * All numbers are little-endian, 32 bits; `sum` is the content checksum of the frame; bit 7 of the descriptor (a byte) says
 * whether it is there. The frame of the embedded manifest, if there is one, has an entry with raw 0, as the format requires
 * for frames that are skipped. */
#ifndef STORE_ARCHIVE_SEEKABLE_H
#define STORE_ARCHIVE_SEEKABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	SEEKABLE_FOOTER = 9,
	SEEKABLE_HEADER = 8,           /* of a frame that is skipped */
	SEEKABLE_ENTRY = 12,           /* of the table, as it is written */
	SEEKABLE_MANIFEST = 16 * 1024, /* bytes that a manifest has at most */
	/* Maximum of raw bytes of one frame, and so of the memory of a reader: more than the largest event. */
	SEEKABLE_RAW_MAX = 128 * 1024 * 1024,
};

struct seek_frame {
	uint64_t at; /* in the file */
	uint32_t packed;
	uint32_t raw;
	uint32_t sum;
};

struct seek_table {
	struct seek_frame *frames;
	uint32_t count;
	bool has_sums;
	uint64_t raw;             /* bytes of all frames */
	struct seek_frame hidden; /* the last frame without content, perhaps a manifest; packed 0: there is none */
};

/* --- writing --- */

/* Adds a frame to the entries of a table. `frame` is whole, with its content checksum. */
void seekable_add(struct buf *entries, struct slice frame, uint32_t raw);
/* Adds the entry for the frame of a manifest of `len` bytes; and makes that frame. */
void seekable_add_hidden(struct buf *entries, size_t len);
void seekable_hide(struct slice manifest, struct buf *out);
/* Turns the entries into the frame that ends the file. */
void seekable_end(struct buf *entries, struct buf *out);

/* --- reading --- */

/* *table_len: the length of the table with header and footer, from the last SEEKABLE_FOOTER bytes of a file of `size` bytes.
 */
enum err seekable_footer(const unsigned char footer[SEEKABLE_FOOTER], uint64_t size, uint64_t *table_len,
			 struct fault *fault);
/* Reads the table from its bytes. Its sizes must add up to the size of the file. */
enum err seekable_table(struct slice bytes, uint64_t size, struct seek_table *out, struct fault *fault);
void seekable_finish(struct seek_table *t);
/* Is a frame without content the frame of a manifest? `header`: its first SEEKABLE_HEADER bytes. */
bool seekable_is_hidden(struct slice header);
/* The manifest in such a frame. False: its size is wrong. */
bool seekable_hidden(struct slice frame, struct slice *manifest);

#endif
